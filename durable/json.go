package durable

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"

	"concord"
)

// checkLine ends a file of WriteJSON: the checksum of what is before it, of type CRC-32C.
const checkLine = "crc32c %08x\n"

// WriteJSON replaces a small file by v in JSON and a line with its checksum, as WriteFile does.
func WriteJSON(path string, perm fs.FileMode, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	data = append(data, '\n')
	return WriteFile(path, perm, func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s"+checkLine, data, Checksum(data))
		return err
	})
}

// ReadJSON reads what WriteJSON wrote. A file without a checksum, written by hand, is taken as it is. Errors: fs.ErrNotExist; Corrupt.
func ReadJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if err := d.Decode(v); err != nil {
		return concord.Errorf(concord.Corrupt, "%s is damaged: %w", path, err)
	}
	end := d.InputOffset()
	if rest := bytes.TrimPrefix(data[end:], []byte("\n")); len(rest) > 0 {
		body := data[:len(data)-len(rest)]
		if string(rest) != fmt.Sprintf(checkLine, Checksum(body)) {
			return concord.Errorf(concord.Corrupt, "%s is damaged: its checksum is wrong", path)
		}
	}
	return nil
}
