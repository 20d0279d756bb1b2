package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
)

// Bounds on answers that are no blob: whether there is a registry, tokens, manifests
// and errors are small, and soon there. Who reads them for us sets none.
const (
	maxAnswer      = 2 * maxConfig
	answerPatience = 2 * time.Minute // from its header to its end
)

// Errors of an answer without an end.
var (
	errEndless = errors.New("the registry's answer is larger than any can be")
	errSlow    = errors.New("the registry's answer did not come to an end")
)

// unboundedKey marks requests whose answers have bounds of their own.
type unboundedKey struct{}

// unbounded is a context for requests of blobs.
func unbounded(ctx context.Context) context.Context {
	return context.WithValue(ctx, unboundedKey{}, true)
}

// bound does a request whose answer ends in time and in size, unless it is unbounded.
func bound(inner http.RoundTripper, r *http.Request, patience time.Duration) (*http.Response, error) {
	if r.Context().Value(unboundedKey{}) != nil {
		return inner.RoundTrip(r)
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	answer, err := inner.RoundTrip(r.WithContext(ctx))
	if err != nil {
		cancel(nil)
		return nil, err
	}
	late := time.AfterFunc(patience, func() { cancel(errSlow) })
	answer.Body = &boundedBody{
		ReadCloser: &causedBody{answer.Body, ctx}, left: maxAnswer,
		done: func() { late.Stop(); cancel(nil) },
	}
	return answer, nil
}

// boundedBody is the body of an answer that must end.
type boundedBody struct {
	io.ReadCloser
	left int64
	done func()
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left == 0 && len(p) > 0 {
		return 0, errEndless
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}

func (b *boundedBody) Close() error {
	err := b.ReadCloser.Close()
	b.done()
	return err
}
