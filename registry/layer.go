package registry

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/skiff-containers/skiff/registry/unpack"
	"github.com/skiff-containers/skiff/store"
)

// layerJob brings in one layer.
type layerJob struct {
	*puller
	blob   descriptor
	diffID string
	short  string
}

func (j *layerJob) phase(p Phase, current int64) {
	j.tell(Event{ID: j.short, Phase: p, Current: current, Total: j.blob.Size})
}

// run waits for the right to make the layer and makes it, unless it is there.
func (j *layerJob) run(ctx context.Context) error {
	if j.store.HasLayer(j.diffID) {
		j.phase(Exists, j.blob.Size)
		return nil
	}
	lock, err := j.store.LockLayer(ctx, j.diffID, func() { j.phase(Waiting, 0) })
	if err != nil {
		return err
	}
	defer lock.Unlock()
	if j.store.HasLayer(j.diffID) {
		j.phase(Exists, j.blob.Size)
		return nil
	}
	err = j.fromNetwork(ctx)
	if errors.Is(err, os.ErrExist) {
		err = j.fromBlob(ctx)
	}
	if errors.Is(err, errStale) { // once more, from the start
		err = j.fromNetwork(ctx)
	}
	if err != nil {
		return err
	}
	j.phase(Complete, j.blob.Size)
	return nil
}

// fromBlob unpacks a blob that is in the store already.
func (j *layerJob) fromBlob(ctx context.Context) error {
	f, err := j.store.OpenBlob(j.blob.Digest)
	if err != nil {
		return err
	}
	defer f.Close()
	j.phase(Extracting, 0)
	u, err := j.unpack(ctx, f, func() {}, Extracting)
	if errors.Is(err, errDigest) {
		// The disk has changed it. No image that needs it can be made from it again.
		return errors.Join(os.Remove(f.Name()), errStale)
	}
	if err != nil {
		return err
	}
	return j.commit(u)
}

// errStale is content of an earlier attempt that turned out to be wrong, and is gone now.
var errStale = errors.New("what was downloaded before is damaged")

// fromNetwork downloads the blob, or the rest of it, and unpacks it on the way. It
// fails with os.ErrExist where the blob is complete.
func (j *layerJob) fromNetwork(ctx context.Context) error {
	partial, err := store.WaitBusy(ctx, func() { j.phase(Waiting, 0) }, func() (*store.PartialBlob, error) {
		return j.store.ResumeBlob(j.blob.Digest)
	})
	if err != nil {
		return err
	}
	have, err := j.resume(partial)
	if err != nil {
		partial.Close()
		return fmt.Errorf("reading the unfinished blob %s: %w", j.blob.Digest, err)
	}
	j.phase(Downloading, have)
	bodyCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	body := &download{ctx: bodyCtx, client: j.client, id: j.short, digest: j.blob.Digest, offset: have, size: j.blob.Size}
	// Once what is there was read, the file's offset is where the rest belongs.
	u, err := j.unpack(ctx, io.MultiReader(io.LimitReader(partial, have), io.TeeReader(body, partial)), cancel, Downloading)
	body.Close()
	switch {
	case errors.Is(err, errContent):
		partial.Discard()
		if have > 0 {
			return errStale
		}
		return err
	case err != nil:
		partial.Close()
		return err
	}
	if err := partial.Commit(store.Durable); err != nil {
		u.discard()
		return err
	}
	return j.commit(u)
}

// resume positions the file at its start and returns how much it holds.
func (j *layerJob) resume(partial *store.PartialBlob) (have int64, err error) {
	if have, err = partial.Seek(0, io.SeekEnd); err != nil {
		return 0, err
	}
	if have > j.blob.Size {
		have = 0
		if err := partial.Truncate(0); err != nil {
			return 0, err
		}
	}
	_, err = partial.Seek(0, io.SeekStart)
	return have, err
}

// maxBlame is how much of a broken layer is read on, only to find out whether its
// digest is wrong as well, which is the better thing to say.
const maxBlame = 16 << 20

// errDigest is content whose digest is not the one that was asked for.
var errDigest = fmt.Errorf("%w: wrong digest", errContent)

// unpack reads a blob to its end, unpacks what it holds, and checks both digests.
// The error wraps errContent where the blob itself is at fault. stop is called
// when no more of the blob is wanted.
func (j *layerJob) unpack(ctx context.Context, blob io.Reader, stop func(), phase Phase) (*unpacked, error) {
	sum := sha256.New()
	source := &source{r: io.TeeReader(blob, sum), ctx: ctx, job: j, phase: phase}
	ahead := newReadAhead(source)
	u, err := j.consume(ctx, ahead)
	if err == nil {
		_, err = io.Copy(io.Discard, ahead) // the blob may go on after the archive
	} else if errors.Is(err, errContent) {
		io.CopyN(io.Discard, ahead, maxBlame)
	}
	stop()
	ahead.Close() // from here on source and sum are ours
	have := store.DigestOf(sum)
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case source.err != nil && !errors.Is(source.err, context.Canceled): // else it was our own stop
		err = explain(source.err, j.ref.Registry)
	case source.ended && have != j.blob.Digest:
		err = fmt.Errorf("%w: the content has %s, not %s", errDigest, have, j.blob.Digest)
	case err == nil && u.info.DiffID != j.diffID:
		err = fmt.Errorf("%w: unpacked it has the diff id %s, not %s", errContent, u.info.DiffID, j.diffID)
	}
	if err != nil && u != nil {
		u.discard()
	}
	return u, err
}

func (j *layerJob) consume(ctx context.Context, blob io.Reader) (*unpacked, error) {
	archive, err := decompress(blob)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errContent, err)
	}
	defer archive.Close()
	return unpackLayer(ctx, j.store, &content{archive})
}

// content marks errors of decompression as the layer's fault.
type content struct{ r io.Reader }

func (c *content) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if err != nil && err != io.EOF {
		err = fmt.Errorf("%w: decompressing: %w", errContent, err)
	}
	return n, err
}

// source is the bytes of a blob as they come in: it tells the progress, at most
// ten times a second, and remembers how they ended.
type source struct {
	r     io.Reader
	ctx   context.Context
	job   *layerJob
	phase Phase
	read  int64
	told  time.Time
	err   error
	ended bool
}

func (s *source) Read(p []byte) (int, error) {
	if s.ctx.Err() != nil {
		return 0, context.Cause(s.ctx)
	}
	n, err := s.r.Read(p)
	s.read += int64(n)
	if now := time.Now(); n > 0 && now.Sub(s.told) >= 100*time.Millisecond {
		s.told = now
		s.job.phase(s.phase, s.read)
	}
	if err == io.EOF {
		s.ended = true
	} else if err != nil {
		s.err = err
	}
	return n, err
}

func (j *layerJob) commit(u *unpacked) error {
	j.tellLosses(u.result)
	return u.commit(j.blob.Digest, store.Durable)
}

// tellLosses says what of the layer this user cannot have.
func (j *layerJob) tellLosses(r *unpack.Result) {
	if r.Devices > 0 {
		j.status("%s: %d device nodes left out, which a user namespace may not make", j.short, r.Devices)
	}
	if r.Attributes > 0 {
		j.status("%s: %d extended attributes left out", j.short, r.Attributes)
	}
	if r.Squashed > 0 {
		j.status("%s: %d entries belong to root, as their owners have no id in the user namespace", j.short, r.Squashed)
	}
}
