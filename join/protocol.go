package join

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"net/http"

	"concord"
)

// The exchange is one HTTPS request, POST Path, with JSON both ways. Fields a later version adds are ignored by an earlier one.
const (
	// Path is where a node lets others join.
	Path = "/join/v1"
	// bindingLabel names what both sides export from the TLS session (RFC 8446, section 7.5).
	bindingLabel = "EXPORTER-concord-join-v1"
	bindingBytes = 32

	// maxRequestBytes bounds a request: its parts have a few hundred bytes.
	maxRequestBytes = 8 << 10
	maxCSRBytes     = 2 << 10
	// maxReplyBytes bounds a reply: certificates, a layout and the addresses of a thousand nodes.
	maxReplyBytes  = 1 << 20
	maxLayoutBytes = 256 << 10
	maxPeers       = 1000
	// maxErrorText bounds what is shown of an answer that is an error.
	maxErrorText = 1000
)

// request asks for a certificate.
type request struct {
	Token string `json:"token"` // its id, not its secret
	Name  string `json:"name"`
	CSR   []byte `json:"csr"` // PKCS #10: shows that the machine has the key; only the key of it is used
	Proof []byte `json:"proof"`

	key ed25519.PublicKey // of the CSR
}

// reply makes the machine a node.
type reply struct {
	Certificate  []byte   `json:"certificate"`
	Authority    []byte   `json:"authority"`
	AuthorityKey []byte   `json:"authority_key"` // PKCS #8
	Layout       []byte   `json:"layout"`
	Peers        []string `json:"peers"`
}

// refusal is the answer to a request that was not granted.
type refusal struct {
	Error string `json:"error"`
}

// decodeRequest reads a request and checks everything about it that needs no store. Errors: Invalid.
func decodeRequest(data []byte) (*request, error) {
	var q request
	if len(data) > maxRequestBytes {
		return nil, concord.Errorf(concord.Invalid, "the request is larger than %d bytes", maxRequestBytes)
	}
	if err := json.Unmarshal(data, &q); err != nil {
		return nil, concord.Errorf(concord.Invalid, "the request is not understood: %w", err)
	}
	if err := CheckName(q.Name); err != nil {
		return nil, err
	}
	if id, err := hex.DecodeString(q.Token); err != nil || len(id) != tokenIDBytes || q.Token != hex.EncodeToString(id) {
		return nil, concord.Errorf(concord.Invalid, "the request names no token")
	}
	if len(q.Proof) != sha256.Size || len(q.CSR) > maxCSRBytes {
		return nil, concord.Errorf(concord.Invalid, "proof or certificate request has a wrong size")
	}
	csr, err := x509.ParseCertificateRequest(q.CSR)
	if err != nil {
		return nil, concord.Errorf(concord.Invalid, "certificate request: %w", err)
	}
	key, ok := csr.PublicKey.(ed25519.PublicKey)
	if !ok {
		return nil, concord.Errorf(concord.Invalid, "certificate request: the key must be Ed25519")
	}
	if err := csr.CheckSignature(); err != nil {
		return nil, concord.Errorf(concord.Invalid, "certificate request: %w", err)
	}
	q.key = key
	return &q, nil
}

// kindStatus maps kinds of errors to HTTP status codes and back; what is not in it is Internal.
var kindStatus = map[concord.Kind]int{
	concord.Invalid:      http.StatusBadRequest,
	concord.Unauthorized: http.StatusUnauthorized,
	concord.Conflict:     http.StatusConflict,
	concord.Unavailable:  http.StatusServiceUnavailable,
}

func statusOf(kind concord.Kind) int {
	if status, ok := kindStatus[kind]; ok {
		return status
	}
	return http.StatusInternalServerError
}

func kindOfStatus(status int) concord.Kind {
	for kind, s := range kindStatus {
		if s == status {
			return kind
		}
	}
	return concord.Internal
}
