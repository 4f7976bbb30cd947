package chain

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/cometbft/cometbft/crypto"
	cmted25519 "github.com/cometbft/cometbft/crypto/ed25519"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/p2p"
	"github.com/cometbft/cometbft/privval"
	cmttypes "github.com/cometbft/cometbft/types"

	"concord"
	"concord/ledger"
	"concord/note"
)

const (
	genesisFile = "genesis.json"
	engineDir   = "engine" // CometBFT's home directory
	// maxBlockBytes is far above what an operator submits a second; the default of about 53 MiB invites abuse
	// (advisory ASA-2023-002).
	maxBlockBytes = 2 << 20
	// maxSmallFile bounds the key, state and genesis files that are read whole.
	maxSmallFile = 4 << 20
)

// genesis is the chain's identity: the file that every transaction names by its hash.
type genesis struct {
	file    []byte
	chainID string
	doc     *cmttypes.GenesisDoc
	notes   [][]byte // founding gov notes
}

// appState is the application's part of the genesis file.
type appState struct {
	Notes []string `json:"notes"` // founding gov notes, the first entries of the log
}

// engineFiles are the files of CometBFT that must not be lost or go back.
type engineFiles struct{ home, consKey, consState, nodeKey string }

func filesOf(dir string) engineFiles {
	home := filepath.Join(dir, engineDir)
	return engineFiles{home, filepath.Join(home, "config", "priv_validator_key.json"), filepath.Join(home, "data", "priv_validator_state.json"),
		filepath.Join(home, "config", "node_key.json")}
}

// loadOrFound reads the genesis file of a directory, or, while there is no state yet, founds a chain of one validator there.
func loadOrFound(cfg *Config, fresh bool) (*genesis, error) {
	path := filepath.Join(cfg.Dir, genesisFile)
	file, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && !fresh {
		return nil, concord.Errorf(concord.Corrupt, "genesis file %s is missing, and there is a log already; restore the file from your backup", path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		if file, err = found(cfg); err == nil {
			err = note.WritePrivate(path, file) // the last step: without it the next Open founds again
		}
	}
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	g := &genesis{file: file}
	if g.doc, err = cmttypes.GenesisDocFromJSON(file); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "genesis file %s: %w", path, err)
	}
	if g.doc.ChainID != cfg.ChainName {
		return nil, concord.Errorf(concord.Conflict, "genesis file %s is of chain %q, not of %q", path, g.doc.ChainID, cfg.ChainName)
	}
	var st appState
	if err := json.Unmarshal(g.doc.AppState, &st); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "genesis file %s: %w", path, err)
	}
	for _, n := range st.Notes {
		g.notes = append(g.notes, []byte(n))
	}
	g.chainID = ledger.ChainID(g.doc.ChainID, file)
	return g, nil
}

// found makes the validator's keys and the genesis file of a new chain.
func found(cfg *Config) ([]byte, error) {
	pv, node, err := makeEngineKeys(filesOf(cfg.Dir))
	if err != nil {
		return nil, err
	}
	notes, err := foundingNotes(cfg, pv, string(node.ID()))
	if err != nil {
		return nil, err
	}
	state, err := json.Marshal(appState{notes})
	if err != nil {
		return nil, err
	}
	params := cmttypes.DefaultConsensusParams()
	params.Block.MaxBytes = maxBlockBytes
	doc := cmttypes.GenesisDoc{GenesisTime: time.Now().UTC().Truncate(time.Second), ChainID: cfg.ChainName, InitialHeight: 1, ConsensusParams: params,
		Validators: []cmttypes.GenesisValidator{{PubKey: pv.Key.PubKey, Power: 1, Name: cfg.Operator}}, AppState: state}
	if err := doc.ValidateAndComplete(); err != nil {
		return nil, err
	}
	return cmtjson.MarshalIndent(doc, "", "  ")
}

// makeEngineKeys makes the consensus key, its state and the node key, or returns those that are there.
func makeEngineKeys(f engineFiles) (*privval.FilePV, *p2p.NodeKey, error) {
	for _, d := range []string{filepath.Dir(f.consKey), filepath.Dir(f.consState)} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return nil, nil, err
		}
	}
	pv, err := loadOrMakeValidator(f)
	if err != nil {
		return nil, nil, err
	}
	node, err := loadOrMakeNodeKey(f)
	return pv, node, err
}

// foundingNotes returns the admission of the operator and the grant of power to it.
func foundingNotes(cfg *Config, pv *privval.FilePV, nodeID string) ([]string, error) {
	k := cfg.Keys
	cons, err := consSignerOf(cfg.Operator, pv)
	if err != nil {
		return nil, err
	}
	g := &ledger.Gov{Chain: ledger.FoundingID(cfg.ChainName), Epoch: 1, Admit: &ledger.Admission{Operator: cfg.Operator, Op: k.Op.Key(),
		Cosign: k.Cosign.Key(), Log: k.Log.Key(), Cons: cons.Key().Public, Node: nodeID}}
	text := g.String()
	sigs, err := prove(text, k, cons, time.Now().Unix())
	if err != nil {
		return nil, err
	}
	power := &ledger.Gov{Chain: g.Chain, Epoch: 2, Powers: []ledger.Power{{Operator: cfg.Operator, Power: 1}}}
	second, err := note.Sign(power.String(), k.Op)
	if err != nil {
		return nil, err
	}
	return []string{string(note.Join(text, sigs...)), string(second)}, nil
}

// loadOrMakeValidator returns the validator key of a directory that has no genesis file yet.
func loadOrMakeValidator(f engineFiles) (*privval.FilePV, error) {
	_, errKey := os.Stat(f.consKey)
	_, errState := os.Stat(f.consState)
	if errKey == nil && errState == nil {
		return loadValidator(f)
	}
	if errKey == nil || errState == nil && !unsigned(f.consState) { // a state of nothing signed is what a kill in between leaves
		return nil, concord.Errorf(concord.Corrupt, "of the validator's key and state only one is there, and no genesis file; restore the other or remove %s", f.home)
	}
	pv := privval.GenFilePV(f.consKey, f.consState)
	key, err := cmtjson.MarshalIndent(pv.Key, "", "  ")
	if err != nil {
		return nil, err
	}
	state, err := cmtjson.MarshalIndent(pv.LastSignState, "", "  ")
	if err != nil {
		return nil, err
	}
	// The state first: a crash in between leaves no key that could be used without it.
	if err := errors.Join(note.WritePrivate(f.consState, state), note.WritePrivate(f.consKey, key)); err != nil {
		return nil, fmt.Errorf("write validator key: %w", err)
	}
	return pv, nil
}

// unsigned reports whether a validator's state says that nothing was signed.
func unsigned(path string) bool {
	var state privval.FilePVLastSignState
	b, err := readSmall(path)
	return err == nil && cmtjson.Unmarshal(b, &state) == nil && state.Height == 0 && state.Signature == nil && state.SignBytes == nil
}

// loadValidator reads the validator's key and state. CometBFT's own loader ends the process when a file is missing or
// damaged, so both are read and checked first.
func loadValidator(f engineFiles) (*privval.FilePV, error) {
	var key privval.FilePVKey
	var state privval.FilePVLastSignState
	read := func(path string, into any) error {
		b, err := readSmall(path)
		if err == nil {
			err = cmtjson.Unmarshal(b, into)
		}
		if err != nil {
			return concord.Errorf(concord.Corrupt, "validator file %s: %w; without it this node could sign two different blocks", path, err)
		}
		return nil
	}
	if err := read(f.consKey, &key); err != nil {
		return nil, err
	}
	if pub, ok := key.PubKey.(cmted25519.PubKey); ok && len(pub) == ed25519.PublicKeySize {
		f.consState = f.stateOf(pub)
	}
	if err := read(f.consState, &state); err != nil {
		return nil, err
	}
	if info, err := os.Stat(f.consKey); err != nil || info.Mode().Perm()&0o077 != 0 {
		return nil, concord.Errorf(concord.Unauthorized, "validator key %s can be read by others; run chmod 600 on it", f.consKey)
	}
	if !whole(key.PrivKey) || key.PubKey == nil || !key.PrivKey.PubKey().Equals(key.PubKey) || state.Height < 0 {
		return nil, concord.Errorf(concord.Corrupt, "validator key %s: the two halves do not belong together; restore it from your backup", f.consKey)
	}
	if (state.SignBytes != nil || state.Signature != nil) && !key.PubKey.VerifySignature(state.SignBytes, state.Signature) {
		return nil, concord.Errorf(concord.Corrupt, "validator state %s: its signature is not that of its sign bytes; without it this node could sign two different blocks", f.consState)
	}
	return privval.LoadFilePV(f.consKey, f.consState), nil
}

// loadOrMakeNodeKey returns the peer-to-peer key of a directory that has no genesis file yet. CometBFT's own function does not sync what it
// writes: a power cut leaves an empty file, and a chain that knows a key nobody has.
func loadOrMakeNodeKey(f engineFiles) (*p2p.NodeKey, error) {
	if _, err := os.Stat(f.nodeKey); !errors.Is(err, fs.ErrNotExist) {
		return loadNodeKey(f)
	}
	k := &p2p.NodeKey{PrivKey: cmted25519.GenPrivKey()}
	b, err := cmtjson.Marshal(k)
	if err == nil {
		err = note.WritePrivate(f.nodeKey, b)
	}
	if err != nil {
		return nil, fmt.Errorf("write node key: %w", err)
	}
	return k, nil
}

// loadNodeKey reads the peer-to-peer key.
func loadNodeKey(f engineFiles) (*p2p.NodeKey, error) {
	if _, err := readSmall(f.nodeKey); err != nil {
		return nil, concord.Errorf(concord.Corrupt, "node key: %w", err)
	}
	k, err := p2p.LoadNodeKey(f.nodeKey)
	if err == nil && !whole(k.PrivKey) {
		err = errors.New("not an Ed25519 key, or damaged")
	}
	if err != nil {
		return nil, concord.Errorf(concord.Corrupt, "node key %s: %w", f.nodeKey, err)
	}
	return k, nil
}

// whole reports whether a key is an Ed25519 key whose second half, the public key, follows from its first.
func whole(k crypto.PrivKey) bool {
	priv, ok := k.(cmted25519.PrivKey)
	return ok && len(priv) == ed25519.PrivateKeySize && bytes.Equal(ed25519.NewKeyFromSeed(priv[:ed25519.SeedSize]), priv)
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxSmallFile {
		return nil, fmt.Errorf("%d bytes are too many for this file", info.Size())
	}
	return os.ReadFile(path)
}
