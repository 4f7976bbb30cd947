package bus

import (
	"context"
	"maps"
	"slices"
	"strings"

	"concord"
)

// maxManifestStoreBytes bounds a bucket of manifests: hundreds of partitions, each with the largest manifest there may be.
const maxManifestStoreBytes = 256 << 20

// manifests is a register as concord.Manifests. Deletions stay as marks, some hundred bytes for every name that ever was, so that a
// watcher learns of them however long it was away.
type manifests struct{ register *register }

// Manifests opens the named bucket of manifests (letters, digits, '_' and '-'), creating it when it is new. A manifest's name follows the
// rules for blobs.
func (b *Bus) Manifests(ctx context.Context, bucket string) (concord.Manifests, error) {
	if concord.CheckBlobName(bucket) != nil || strings.ContainsAny(bucket, "./") {
		return nil, concord.Errorf(concord.Invalid, "open manifests: bucket %q: use letters, digits, '_' and '-'", concord.Clip(bucket, 40))
	}
	r, err := b.openRegister(ctx, "manifest", "KV_"+bucket, "$KV."+bucket+".", concord.MaxManifestBytes, maxManifestStoreBytes)
	if err != nil {
		return nil, err
	}
	return &manifests{r}, nil
}

// Get implements concord.Manifests.
func (m *manifests) Get(ctx context.Context, name string) (concord.Manifest, error) {
	if err := checkManifestName(name); err != nil {
		return concord.Manifest{}, err
	}
	v, err := m.register.get(ctx, name)
	if err != nil {
		return concord.Manifest{}, err
	}
	if v.revision == 0 || v.deleted {
		return concord.Manifest{}, concord.Errorf(concord.NotFound, "manifest %s is not there", name)
	}
	return concord.Manifest{Data: v.data, Revision: v.revision}, nil
}

// Put implements concord.Manifests.
func (m *manifests) Put(ctx context.Context, name string, data []byte, revision uint64) (uint64, error) {
	if err := checkManifestName(name); err != nil {
		return 0, err
	}
	if len(data) > concord.MaxManifestBytes {
		return 0, concord.Errorf(concord.Invalid, "put manifest %s: %d bytes, at most %d; keep what is large in a blob", name, len(data), concord.MaxManifestBytes)
	}
	return m.register.put(ctx, name, data, revision)
}

// Delete implements concord.Manifests.
func (m *manifests) Delete(ctx context.Context, name string, revision uint64) error {
	if err := checkManifestName(name); err != nil {
		return err
	}
	if revision == 0 {
		return concord.Errorf(concord.Invalid, "delete manifest %s: say which revision", name)
	}
	return m.register.del(ctx, name, revision, 0)
}

// Watch implements concord.Manifests. The values that are there come from the leader, changes from any copy.
func (m *manifests) Watch(ctx context.Context, prefix string, f func(name string, m concord.Manifest) error) error {
	filter, ok := m.register.filter(prefix)
	if !ok {
		return concord.Errorf(concord.Invalid, "watch manifests: no name begins with %q", concord.Clip(prefix, 40))
	}
	subjects, last, err := m.register.bus.subjects(ctx, m.register.stream, filter)
	if err != nil {
		return wrap("watch manifests", err)
	}
	told := map[string]uint64{} // the revision of each name that f knows of
	tell := func(name string, v value) error {
		known, ok := told[name]
		switch {
		case !strings.HasPrefix(name, prefix), v.revision <= known, v.deleted && !ok:
			return nil
		case v.deleted:
			delete(told, name)
			return f(name, concord.Manifest{})
		}
		told[name] = v.revision
		return f(name, concord.Manifest{Data: v.data, Revision: v.revision})
	}
	for _, subject := range slices.Sorted(maps.Keys(subjects)) {
		name := m.register.name(subject)
		v, err := m.register.get(ctx, name)
		if err != nil {
			return err
		}
		if err := tell(name, v); err != nil {
			return err
		}
	}
	return m.register.follow(ctx, filter, last, func(name string, v value, _ uint64) error { return tell(name, v) })
}

func checkManifestName(name string) error {
	if err := concord.CheckBlobName(name); err != nil {
		return concord.Errorf(concord.Invalid, "manifest name: %w", err)
	}
	return nil
}
