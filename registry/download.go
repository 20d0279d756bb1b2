package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// stallAfter is how long a download may bring nothing before it counts as broken.
const stallAfter = 60 * time.Second

// errStalled is a download that brings nothing any more.
var errStalled = errors.New("nothing came for a minute")

// get asks for a path below the repository and returns an answer of a wanted status.
func (c *client) get(ctx context.Context, path string, header http.Header, wanted ...int) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+path, nil)
	if err != nil {
		return nil, err
	}
	r.Header = header
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, err
	}
	if err := checkStatus(answer, wanted...); err != nil {
		return nil, err
	}
	return answer, nil
}

// download reads a blob from an offset on, going on after breaks where it stood
// (RFC 9110, 14: Range). Its end is at size bytes, whatever the server thinks.
type download struct {
	ctx      context.Context
	client   *client
	id       string
	digest   string
	offset   int64
	size     int64
	body     io.ReadCloser
	cancel   context.CancelCauseFunc
	stall    *time.Timer
	failures int // attempts without progress
}

func (d *download) Read(p []byte) (int, error) {
	for {
		if d.offset == d.size {
			return 0, io.EOF
		}
		if d.body == nil {
			if err := d.open(); err != nil {
				if err := d.after(err); err != nil {
					return 0, err
				}
				continue
			}
		}
		n, err := d.body.Read(p[:min(int64(len(p)), d.size-d.offset)])
		d.stall.Reset(stallAfter)
		if n > 0 {
			d.offset += int64(n)
			d.failures = 0
			return n, nil
		}
		if err == nil {
			continue
		}
		if err == io.EOF {
			err = io.ErrUnexpectedEOF // the server closed before the end
		}
		d.Close()
		if err := d.after(err); err != nil {
			return 0, err
		}
	}
}

// after decides what comes after a failure: a pause and nil, or the end.
func (d *download) after(err error) error {
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	if !passing(err) {
		return err
	}
	if d.failures++; d.failures >= attempts {
		return fmt.Errorf("giving up after %d attempts: %w", d.failures, err)
	}
	return d.client.pause(d.ctx, d.id, d.failures, err)
}

// open asks for the rest of the blob.
func (d *download) open() error {
	ctx, cancel := context.WithCancelCause(d.ctx)
	stall := time.AfterFunc(stallAfter+30*time.Second, func() { cancel(errStalled) })
	header := http.Header{}
	if d.offset > 0 {
		header.Set("Range", fmt.Sprintf("bytes=%d-", d.offset))
	}
	answer, err := d.client.get(unbounded(ctx), "blobs/"+d.digest, header, http.StatusOK, http.StatusPartialContent)
	if err == nil {
		err = d.position(answer)
	}
	if err != nil {
		stall.Stop()
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		cancel(nil)
		return err
	}
	d.body, d.cancel, d.stall = &causedBody{answer.Body, ctx}, cancel, stall
	return nil
}

// position makes sure that the answer's body begins at our offset.
func (d *download) position(answer *http.Response) error {
	if answer.StatusCode == http.StatusPartialContent {
		want := fmt.Sprintf("bytes %d-", d.offset)
		if have := answer.Header.Get("Content-Range"); !strings.HasPrefix(have, want) {
			answer.Body.Close()
			return fmt.Errorf("downloading %s: asked for %q, the registry sent %q", d.digest, want, have)
		}
		return nil
	}
	// The server ignores ranges: what we have already is read again and thrown away.
	if _, err := io.CopyN(io.Discard, answer.Body, d.offset); err != nil {
		answer.Body.Close()
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	return nil
}

// Close ends the connection; the next Read begins another.
func (d *download) Close() error {
	if d.body == nil {
		return nil
	}
	d.stall.Stop()
	d.body.Close()
	d.cancel(nil)
	d.body = nil
	return nil
}

// causedBody tells why a read was cancelled.
type causedBody struct {
	io.ReadCloser
	ctx context.Context
}

func (b *causedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && err != io.EOF {
		if cause := context.Cause(b.ctx); cause != nil {
			err = cause
		}
	}
	return n, err
}
