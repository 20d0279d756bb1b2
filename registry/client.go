package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/skiff-containers/skiff/store"
)

// hubHost serves what is called docker.io.
const hubHost = "index.docker.io"

// userAgent is how skiff introduces itself to registries.
const userAgent = "skiff"

// client talks to one repository of one registry.
type client struct {
	http *http.Client
	base string // "https://host/v2/repository/"
	ref  store.Ref
	tell func(Event)
}

// apiHost is the host behind a registry's name.
func apiHost(registry string) string {
	if registry == store.DefaultRegistry {
		return hubHost
	}
	return registry
}

// connect finds out how the registry wants to be spoken to, and with which
// credentials (distribution-spec, "Determining Support").
func connect(ctx context.Context, ref store.Ref, o *PullOptions, tell func(Event)) (*client, error) {
	auth, err := credentials(ctx, ref, o.AuthFile)
	if err != nil {
		return nil, err
	}
	c := &client{ref: ref, tell: tell}
	var wrapped http.RoundTripper
	err = c.retry(ctx, "", func() (err error) {
		wrapped, err = handshake(ctx, ref.Registry, o.TLSVerify, auth, []string{"repository:" + ref.Repository + ":pull"})
		return err
	})
	if err != nil {
		return nil, explain(err, ref.Registry)
	}
	c.http = &http.Client{Transport: wrapped}
	// The transport puts http in, where the handshake found that.
	c.base = "https://" + apiHost(ref.Registry) + "/v2/" + ref.Repository + "/"
	return c, nil
}

// handshake returns a transport that authenticates itself.
func handshake(ctx context.Context, registry string, verify bool, auth authn.Authenticator, scopes []string) (http.RoundTripper, error) {
	host := apiHost(registry)
	plain := !verify || isLoopback(host)
	var options []name.Option
	if plain {
		options = append(options, name.Insecure)
	}
	reg, err := name.NewRegistry(host, options...)
	if err != nil {
		return nil, fmt.Errorf("connecting to %q: %w", host, err)
	}
	inner, err := baseTransport(host, verify)
	if err != nil {
		return nil, err
	}
	guarded := &guard{inner: inner, plain: !verify, patience: answerPatience}
	wrapped, err := transport.NewWithContext(ctx, reg, auth, transport.NewUserAgent(guarded, userAgent), scopes)
	if err != nil {
		return nil, abridgedError{err}
	}
	return wrapped, nil
}

// baseTransport is the network: proxies from the environment, certificates of the
// host, patience with bounds.
func baseTransport(host string, verify bool) (*http.Transport, error) {
	config := &tls.Config{InsecureSkipVerify: !verify, MinVersion: tls.VersionTLS12}
	if verify {
		if err := addCertificates(config, host); err != nil {
			return nil, err
		}
	}
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           dialer.DialContext,
		TLSClientConfig:       config,
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: 60 * time.Second,
		IdleConnTimeout:       30 * time.Second,
		MaxIdleConnsPerHost:   2 * layersAtOnce,
		ForceAttemptHTTP2:     true,
		DisableCompression:    true, // layers are counted and hashed as they are served
		ReadBufferSize:        64 << 10,
	}, nil
}

// guard lets plain http through only where it may be: to loopback, or where the
// user waived verification, and bounds answers. Redirects pass through it as well.
type guard struct {
	inner    http.RoundTripper
	plain    bool
	patience time.Duration
}

// errPlain is an answer or redirect that would leave https.
var errPlain = errors.New("the registry wants plain http")

func (g *guard) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !g.plain && !isLoopback(r.URL.Host) {
		return nil, errPlain
	}
	return bound(g.inner, r, g.patience)
}

// isLoopback tells whether host[:port] is this machine: localhost, 127.0.0.0/8 or ::1.
func isLoopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback()
}
