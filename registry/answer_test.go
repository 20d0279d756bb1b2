package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A registry whose answers have no end keeps nobody: neither at the greeting, whose
// body says nothing, nor with a token, a manifest or an error.
func TestEndlessAnswers(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v2/", "/token", "/v2/one/manifests/latest", "/v2/one/manifests/none"} {
		t.Run(path, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.add(t, "latest", layer{tar: files(t, "a", "1")})
			f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
				switch {
				case r.URL.Path == path && strings.HasSuffix(path, "none"):
					w.WriteHeader(http.StatusNotFound)
				case r.URL.Path == path:
				case r.URL.Path == "/v2/" && path == "/token":
					w.Header().Set("WWW-Authenticate", `Bearer realm="`+f.URL+`/token",service="x"`)
					w.WriteHeader(http.StatusUnauthorized)
					return true
				default:
					return false
				}
				for filler := []byte(strings.Repeat(" ", 64<<10)); ; {
					if _, err := w.Write(filler); err != nil {
						return true
					}
				}
			}
			tag := "latest"
			if strings.HasSuffix(path, "none") {
				tag = "none"
			}
			_, _, err := pull(t, newStore(t), f.name("one:"+tag))
			if (err == nil) != (path == "/v2/") {
				t.Errorf("an endless answer at %s gives %v", path, err)
			}
		})
	}
}

// An answer that stops in its midst ends as well.
func TestSlowAnswer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("{"))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	get := func(ctx context.Context) (*http.Response, error) {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL, nil)
		must(t, err)
		return (&guard{inner: transport, patience: time.Millisecond}).RoundTrip(r)
	}
	answer, err := get(t.Context())
	must(t, err)
	if _, err := io.ReadAll(answer.Body); !errors.Is(err, errSlow) || passing(err) {
		t.Errorf("reading gives %v", err)
	}
	answer.Body.Close()

	// A blob is waited for by its own rules.
	ctx, cancel := context.WithCancel(unbounded(t.Context()))
	answer, err = get(ctx)
	must(t, err)
	if _, is := answer.Body.(*boundedBody); is {
		t.Error("a blob's answer is bounded as well")
	}
	cancel()
	answer.Body.Close()
}

// A proxy's page of 60 kB is no error message, and what is tried again without a layer
// says so itself.
func TestPagesAreAbridged(t *testing.T) {
	t.Parallel()
	for _, path := range []string{"/v2/", "/v2/one/manifests/latest"} {
		f := newFake(t)
		f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
			if r.URL.Path != path {
				return false
			}
			http.Error(w, "<html>"+strings.Repeat("ä", 30<<10), http.StatusBadRequest)
			return true
		}
		_, _, err := pull(t, newStore(t), f.name("one"))
		if err == nil || len(err.Error()) > 2*maxQuoted || !strings.Contains(err.Error(), "400 Bad Request: <html>") {
			t.Errorf("a page at %s gives %.2000v", path, err)
		}
	}
	f := newFake(t)
	f.add(t, "latest", layer{tar: files(t, "a", "1")})
	f.fault = func(w http.ResponseWriter, r *http.Request, attempt int) bool {
		if strings.Contains(r.URL.Path, "/manifests/") && attempt == 1 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return true
		}
		return false
	}
	_, told, err := pull(t, newStore(t), f.name("one"))
	if err != nil || !strings.Contains(told.String(), "Retrying in ") {
		t.Errorf("%v, told %s", err, told)
	}
}
