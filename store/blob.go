package store

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// partialSuffix marks a blob that is not complete: what a broken download left,
// to be gone on with.
const partialSuffix = ".partial"

// BlobPath is where the blob with a digest lies once it is complete.
func (s *Store) BlobPath(digest string) (string, error) {
	hex, err := digestHex(digest)
	if err != nil {
		return "", err
	}
	return s.path("blobs", "sha256", hex), nil
}

// HasBlob tells whether the blob is complete.
func (s *Store) HasBlob(digest string) bool {
	path, err := s.BlobPath(digest)
	if err != nil {
		return false
	}
	_, err = os.Lstat(path)
	return err == nil
}

// OpenBlob opens a complete blob for reading.
func (s *Store) OpenBlob(digest string) (*os.File, error) {
	path, err := s.BlobPath(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s: %w", digest, err)
	}
	return f, nil
}

// ReadBlob reads a complete blob of at most limit bytes and checks its digest.
func (s *Store) ReadBlob(digest string, limit int64) ([]byte, error) {
	f, err := s.OpenBlob(digest)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading blob %s: %w", digest, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("reading blob %s: larger than %d bytes", digest, limit)
	}
	if have := Digest(data); have != digest {
		return nil, fmt.Errorf("reading blob %s: its content has digest %s", digest, have)
	}
	return data, nil
}

// Digest returns "sha256:…" of data.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return digestPrefix + hex.EncodeToString(sum[:])
}

// DigestOf returns "sha256:…" of what was written to h, a sha256.
func DigestOf(h hash.Hash) string { return digestPrefix + hex.EncodeToString(h.Sum(nil)) }

// WriteBlob adds data as a blob and returns its digest. A blob that is here already stays.
func (s *Store) WriteBlob(data []byte, d Durability) (digest string, err error) {
	digest = Digest(data)
	path, err := s.BlobPath(digest)
	if err != nil {
		return "", err
	}
	if s.HasBlob(digest) {
		return digest, nil
	}
	return digest, s.writeFile(path, data, d)
}

// PartialBlob is a blob while it is written. It is locked: one process at a time
// works on it, and a dead one's work is taken over.
type PartialBlob struct {
	*os.File
	store  *Store
	digest string
}

// ErrBusy is what others are doing already.
var ErrBusy = errors.New("another process does this")

// ResumeBlob opens the unfinished file of a blob, making it where there is none.
// Its offset is 0; what it holds came from an earlier attempt and is not verified.
// It fails with ErrBusy while another process has it open, and with os.ErrExist
// once the blob is complete.
func (s *Store) ResumeBlob(digest string) (*PartialBlob, error) {
	path, err := s.BlobPath(digest)
	if err != nil {
		return nil, err
	}
	f, err := lockFile(path + partialSuffix)
	if err != nil {
		return nil, fmt.Errorf("opening blob %s for writing: %w", digest, err)
	}
	if s.HasBlob(digest) { // it was finished between the caller's look and our lock
		os.Remove(path + partialSuffix)
		f.Close()
		return nil, fmt.Errorf("opening blob %s for writing: %w", digest, os.ErrExist)
	}
	return &PartialBlob{f, s, digest}, nil
}

// Commit gives the blob its name. The caller has verified its digest. The file is closed.
func (p *PartialBlob) Commit(d Durability) error {
	defer p.Close()
	path, err := p.store.BlobPath(p.digest)
	if err != nil {
		return err
	}
	if d == Durable {
		if err := p.Sync(); err != nil {
			return fmt.Errorf("writing blob %s: %w", p.digest, err)
		}
	}
	if err := os.Rename(path+partialSuffix, path); err != nil {
		return fmt.Errorf("writing blob %s: %w", p.digest, err)
	}
	if d == Durable {
		return SyncFolder(p.store.path("blobs", "sha256"))
	}
	return nil
}

// Discard deletes the unfinished file and closes it.
func (p *PartialBlob) Discard() {
	if path, err := p.store.BlobPath(p.digest); err == nil {
		os.Remove(path + partialSuffix)
	}
	p.Close()
}

// lockFile opens the file at path, making it, and takes its lock without waiting;
// ErrBusy tells that another process has it.
func lockFile(path string) (*os.File, error) {
	lock, err := lockPath(path, os.O_RDWR|os.O_CREATE, unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return lock.file, nil
}

// freshFile makes a file of its own in tmp/ and locks it. A sweep that sees it
// before its lock deletes it, and another takes its place.
func (s *Store) freshFile(prefix string) (*os.File, error) {
	lock, err := lockPath(s.path("tmp", prefix+rand.Text()), os.O_RDWR|os.O_CREATE, unix.LOCK_EX)
	if err != nil {
		return nil, err
	}
	return lock.file, nil
}

// NewBlob is a blob that is written before its digest is known.
type NewBlob struct {
	store  *Store
	file   *os.File
	size   int64
	closed bool
}

// CreateBlob begins such a blob, in tmp/.
func (s *Store) CreateBlob() (*NewBlob, error) {
	f, err := s.freshFile("blob-")
	if err != nil {
		return nil, fmt.Errorf("creating a blob: %w", err)
	}
	return &NewBlob{store: s, file: f}, nil
}

// Write appends to the blob.
func (b *NewBlob) Write(p []byte) (int, error) {
	n, err := b.file.Write(p)
	b.size += int64(n)
	return n, err
}

// Size is how many bytes were written.
func (b *NewBlob) Size() int64 { return b.size }

// Commit gives the blob its name. The caller has computed the digest.
func (b *NewBlob) Commit(digest string, d Durability) error {
	path, err := b.store.BlobPath(digest)
	if err != nil {
		return err
	}
	if d == Durable {
		if err := b.file.Sync(); err != nil {
			return fmt.Errorf("writing blob %s: %w", digest, err)
		}
	}
	if err := os.Rename(b.file.Name(), path); err != nil {
		return fmt.Errorf("writing blob %s: %w", digest, err)
	}
	b.closed = true
	b.file.Close()
	if d == Durable {
		return SyncFolder(b.store.path("blobs", "sha256"))
	}
	return nil
}

// Discard deletes the blob unless it was committed.
func (b *NewBlob) Discard() {
	if !b.closed {
		os.Remove(b.file.Name())
		b.file.Close()
		b.closed = true
	}
}

// writeFile is WriteFile that stages in tmp/, where a sweep finds what a killed
// process left: the folders of images, layers and blobs are never swept.
func (s *Store) writeFile(path string, data []byte, d Durability) (err error) {
	f, err := s.freshFile("file-")
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	defer f.Close()
	defer func() {
		if err != nil {
			os.Remove(f.Name())
			err = fmt.Errorf("writing %s: %w", path, err)
		}
	}()
	if _, err := f.Write(data); err != nil {
		return err
	}
	if d == Durable {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	if d == Durable {
		return SyncFolder(filepath.Dir(path))
	}
	return nil
}

func (s *Store) writeJSON(path string, v any, d Durability) error {
	data, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return s.writeFile(path, data, d)
}
