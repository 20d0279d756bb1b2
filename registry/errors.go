package registry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/skiff-containers/skiff/userns"
)

// Errors of this package that callers tell apart.
var (
	ErrNoSuchImage  = errors.New("no such image in the registry")
	ErrUnauthorized = errors.New("access denied")
)

// statusError is an answer of the registry that is no success.
type statusError struct {
	answer     *transport.Error
	retryAfter time.Duration
}

func (e *statusError) Error() string { return abridged(e.answer.Error()) }
func (e *statusError) Unwrap() error { return e.answer }

// abridgedError is an error whose text may quote a whole page.
type abridgedError struct{ error }

func (e abridgedError) Error() string { return abridged(e.error.Error()) }
func (e abridgedError) Unwrap() error { return e.error }

// maxQuoted bounds, in bytes, what is told of an answer that is no registry's: the page
// of a proxy, mostly.
const maxQuoted = 400

func abridged(text string) string {
	if len(text) <= maxQuoted {
		return text
	}
	return strings.ToValidUTF8(text[:maxQuoted], "") + "…"
}

// checkStatus turns an answer outside 2xx into an error and closes its body.
func checkStatus(r *http.Response, wanted ...int) error {
	err := transport.CheckError(r, wanted...)
	if err == nil {
		return nil
	}
	r.Body.Close()
	var t *transport.Error
	if !errors.As(err, &t) {
		return err
	}
	return &statusError{t, retryAfter(r.Header.Get("Retry-After"))}
}

// maxRetryAfter bounds what a registry may ask us to wait.
const maxRetryAfter = 2 * time.Minute

// retryAfter reads the header of that name: seconds or a date (RFC 9110, 10.2.3).
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return min(time.Duration(seconds)*time.Second, maxRetryAfter)
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, min(time.Until(at), maxRetryAfter))
	}
	return 0
}

// passing tells whether an error may be gone at the next attempt.
func passing(err error) bool {
	if isCertificate(err) || errors.Is(err, errPlain) || errors.Is(err, context.Canceled) {
		return false
	}
	var status *transport.Error
	if errors.As(err, &status) {
		switch status.StatusCode {
		case http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError,
			http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return true
		}
		return false
	}
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return dns.IsTemporary && !dns.IsNotFound
	}
	var netErr net.Error
	if errors.As(err, &netErr) && netErr.Timeout() {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, errStalled) || isHTTP2(err)
}

// isHTTP2 tells errors of an HTTP/2 stream, whose types net/http does not export.
func isHTTP2(err error) bool {
	for ; err != nil; err = errors.Unwrap(err) {
		switch fmt.Sprintf("%T", err) {
		case "http.http2StreamError", "http.http2GoAwayError", "http.http2ConnectionError":
			return true
		}
	}
	return false
}

func isCertificate(err error) bool {
	var verification *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &verification) || errors.As(err, &authority) || errors.As(err, &host) || errors.As(err, &invalid)
}

// explain names the cause of an error that the user can mend.
func explain(err error, registry string) error {
	if err == nil {
		return nil
	}
	var header tls.RecordHeaderError
	var dns *net.DNSError
	var status *transport.Error
	var file *fs.PathError
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &file): // of this machine, and none of the registry's doing
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			err = file.Err // wherever it lies
		}
		return fmt.Errorf("writing to the store: %w", err)
	case isCertificate(err):
		return &userns.HostError{What: fmt.Sprintf("verifying the certificate of %q", registry), Err: err,
			Hint: "put its authority into /etc/containers/certs.d/" + registry + "/ca.crt, or use --tls-verify=false where you trust the network"}
	case errors.As(err, &status):
		return explainStatus(err, status, registry)
	case errors.As(err, &header), errors.Is(err, errPlain):
		return &userns.HostError{What: fmt.Sprintf("registry %q does not speak https", registry), Err: err,
			Hint: "use --tls-verify=false where you trust the network"}
	case errors.As(err, &dns):
		return &userns.HostError{What: fmt.Sprintf("finding the registry %q", registry), Err: err,
			Hint: "is the name right, and the network up? (HTTPS_PROXY is honoured)"}
	case errors.Is(err, syscall.ECONNREFUSED), errors.Is(err, syscall.ENETUNREACH), errors.Is(err, syscall.EHOSTUNREACH), isTimeout(err):
		return &userns.HostError{What: fmt.Sprintf("reaching the registry %q", registry), Err: err,
			Hint: "is it running, and the network up? (HTTPS_PROXY is honoured)"}
	}
	return fmt.Errorf("asking the registry %q: %w", registry, err)
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

func explainStatus(err error, status *transport.Error, registry string) error {
	switch status.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return &userns.HostError{What: fmt.Sprintf("asking the registry %q", registry), Err: fmt.Errorf("%w: %w", ErrUnauthorized, err),
			Hint: "skiff login " + registry}
	case http.StatusTooManyRequests:
		return &userns.HostError{What: fmt.Sprintf("asking the registry %q: it limits how much may be pulled", registry), Err: err,
			Hint: "wait a while, or raise the limit with: skiff login " + registry}
	}
	return fmt.Errorf("asking the registry %q: %w", registry, err)
}
