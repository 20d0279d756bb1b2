package registry

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/skiff-containers/skiff/store"
)

// LocalFile is one file of an image that is made on the spot.
type LocalFile struct {
	Name   string      // in the image, without a leading slash
	Mode   fs.FileMode // permissions; with fs.ModeDir a folder, with fs.ModeSymlink a symbolic link
	Link   string      // where a symbolic link leads
	Source string      // path on this machine, copied; or
	Data   []byte      // the content itself
}

// MakeImage makes an image of files and a config, without any registry, and names
// it ref: one uncompressed layer, unpacked in the same pass in which its blob is
// written. All entries belong to root and have the time zero, so that the same
// files make the same layer. Nothing is synced: it can be made again at any time.
func MakeImage(ctx context.Context, s *store.Store, ref store.Ref, files []LocalFile, config store.ImageConfig) (*store.Image, error) {
	img, err := makeImage(ctx, s, ref, files, config)
	if err != nil {
		return nil, fmt.Errorf("making image %q: %w", ref.Familiar(), err)
	}
	return img, nil
}

func makeImage(ctx context.Context, s *store.Store, ref store.Ref, files []LocalFile, config store.ImageConfig) (*store.Image, error) {
	read, write := io.Pipe()
	go func() { write.CloseWithError(archive(write, files)) }()
	defer read.Close()
	blob, err := s.CreateBlob()
	if err != nil {
		return nil, err
	}
	defer blob.Discard()
	u, err := unpackLayer(ctx, s, io.TeeReader(read, blob))
	if err != nil {
		return nil, err
	}
	diffID := u.info.DiffID
	created := time.Now().UTC().Truncate(time.Second)
	img, documents, err := describe(diffID, blob.Size(), created, config)
	if err != nil {
		u.discard()
		return nil, err
	}
	pin, err := s.Pin(append(img.Blobs, img.Layers...))
	if err != nil {
		u.discard()
		return nil, err
	}
	defer pin.Release()
	if err := blob.Commit(diffID, store.Fleeting); err != nil {
		u.discard()
		return nil, err
	}
	if err := u.commit(diffID, store.Fleeting); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	for _, d := range documents {
		if _, err := s.WriteBlob(d, store.Fleeting); err != nil {
			return nil, err
		}
	}
	if err := finish(ctx, s, img, fixUpID(img.Layers), store.Fleeting); err != nil {
		return nil, err
	}
	if err := s.AddImage(img, ref, store.Fleeting); err != nil {
		return nil, err
	}
	img.Refs = []store.Ref{ref}
	return img, nil
}

// describe writes config and manifest of an image with one layer.
func describe(diffID string, size int64, created time.Time, config store.ImageConfig) (*store.Image, [][]byte, error) {
	here := platform{OS: "linux", Architecture: runtime.GOARCH}
	rawConfig, err := json.Marshal(imageConfig{platform: here, Created: &created, Config: config, RootFS: rootFS{Type: "layers", DiffIDs: []string{diffID}}})
	if err != nil {
		return nil, nil, err
	}
	id := store.Digest(rawConfig)
	rawManifest, err := json.Marshal(manifest{
		SchemaVersion: 2, MediaType: types.OCIManifestSchema1,
		Config: &descriptor{MediaType: types.OCIConfigJSON, Digest: id, Size: int64(len(rawConfig))},
		Layers: []descriptor{{MediaType: types.OCIUncompressedLayer, Digest: diffID, Size: size}},
	})
	if err != nil {
		return nil, nil, err
	}
	digest := store.Digest(rawManifest)
	return &store.Image{
		ID: id, Manifest: digest, Digest: digest, Platform: here.normal().String(), Created: created,
		Layers: []string{diffID}, DiffIDs: []string{diffID}, Blobs: []string{digest, id, diffID}, Config: config,
	}, [][]byte{rawConfig, rawManifest}, nil
}

// archive writes the files as a tar archive, every folder before what is in it.
func archive(w io.Writer, files []LocalFile) error {
	t := tar.NewWriter(w)
	made := map[string]bool{".": true}
	for _, f := range files {
		if err := folders(t, path.Dir(f.Name), made); err != nil {
			return err
		}
		if f.Mode.IsDir() {
			made[path.Clean(f.Name)] = true
		}
		if err := f.write(t); err != nil {
			return fmt.Errorf("adding %q: %w", f.Name, err)
		}
	}
	return t.Close()
}

func folders(t *tar.Writer, name string, made map[string]bool) error {
	if made[name] {
		return nil
	}
	made[name] = true
	if err := folders(t, path.Dir(name), made); err != nil {
		return err
	}
	return t.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
}

func (f *LocalFile) write(t *tar.Writer) error {
	h := &tar.Header{Typeflag: tar.TypeReg, Name: f.Name, Mode: int64(f.Mode.Perm()), Size: int64(len(f.Data)), ModTime: time.Unix(0, 0)}
	switch {
	case f.Mode.IsDir():
		h.Typeflag, h.Name, h.Size = tar.TypeDir, path.Clean(f.Name)+"/", 0
		if f.Mode&fs.ModeSticky != 0 {
			h.Mode |= 0o1000
		}
		return t.WriteHeader(h)
	case f.Mode&fs.ModeSymlink != 0:
		h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, f.Link, 0
		return t.WriteHeader(h)
	case f.Source == "":
		if err := t.WriteHeader(h); err != nil {
			return err
		}
		_, err := t.Write(f.Data)
		return err
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	st, err := source.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", f.Source)
	}
	h.Size = st.Size()
	if err := t.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{t}, struct{ io.Reader }{source}, make([]byte, 256<<10))
	return err
}
