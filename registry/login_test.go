package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/skiff-containers/skiff/internal/fixture"
	"github.com/skiff-containers/skiff/store"
)

// A real registry with a password: refused without, taken with it, forgotten after logout.
func TestLoginRealRegistry(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("docker-registry"); err != nil {
		t.Skip("docker-registry is not installed")
	}
	r, err := fixture.Start(t.TempDir(), true)
	must(t, err)
	t.Cleanup(r.Stop)
	ctx, s, file := context.Background(), newStore(t), filepath.Join(t.TempDir(), "config.json")
	images, err := fixture.Images()
	must(t, err)
	must(t, r.Push(ctx, images[:1]))
	o := PullOptions{Reference: r.Addr + "/busybox", TLSVerify: true, AuthFile: file}
	if _, err := Pull(ctx, s, o); !errors.Is(err, ErrUnauthorized) || hint(err) != "skiff login "+r.Addr {
		t.Errorf("without a password: %v, hint %q", err, hint(err))
	}
	login := LoginOptions{Server: r.Addr, Username: fixture.User, Password: "wrong", TLSVerify: true, AuthFile: file}
	if err := Login(ctx, login); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("with a wrong password: %v", err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a wrong password was kept")
	}
	login.Password = fixture.Password
	must(t, Login(ctx, login))
	if _, err := Pull(ctx, s, o); err != nil {
		t.Errorf("after login: %v", err)
	}
	st, err := os.Stat(file)
	must(t, err)
	if st.Mode() != 0o600 {
		t.Errorf("the file has mode %v", st.Mode())
	}
	had, err := Logout(ctx, LogoutOptions{Server: r.Addr, AuthFile: file})
	if err != nil || !had {
		t.Errorf("logout: %v, %v", had, err)
	}
	if had, err = Logout(ctx, LogoutOptions{Server: r.Addr, AuthFile: file}); err != nil || had {
		t.Errorf("second logout: %v, %v", had, err)
	}
	if _, err := Pull(ctx, s, o); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("after logout: %v", err)
	}
}

// A registry that hands out tokens: the password goes to the token's server only.
func TestTokens(t *testing.T) {
	t.Parallel()
	f, s, file := newFake(t), newStore(t), filepath.Join(t.TempDir(), "auth.json")
	f.add(t, "latest", layer{tar: files(t, "a", "1")})
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if r.URL.Path == "/token" {
			if user, password, _ := r.BasicAuth(); user != "u" || password != "p" {
				http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
				return true
			}
			fmt.Fprintf(w, `{"token":"t-%s"}`, r.URL.Query().Get("scope"))
			return true
		}
		token := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if token == "t-repository:x:pull" || token == "t-" && r.URL.Path == "/v2/" {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="%s/token",service="fake"`, f.URL))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	server := strings.TrimSuffix(f.name(""), "/")
	o := PullOptions{Reference: f.name("x"), TLSVerify: true, AuthFile: file}
	if _, err := Pull(context.Background(), s, o); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("without a password: %v", err)
	}
	login := LoginOptions{Server: "http://" + server + "/v2/", Username: "u", Password: "q", TLSVerify: true, AuthFile: file}
	if err := Login(context.Background(), login); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("with a wrong password: %v", err)
	}
	login.Password = "p"
	must(t, Login(context.Background(), login))
	_, err := Pull(context.Background(), s, o)
	must(t, err)
}

func TestTLS(t *testing.T) {
	f := newFake(t)
	f.add(t, "latest", layer{tar: files(t, "a", "1")})
	server := httptest.NewUnstartedServer(f)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of the handshakes that fail on purpose
	server.StartTLS()
	t.Cleanup(server.Close)
	host := strings.TrimPrefix(server.URL, "https://")
	s, config := newStore(t), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", config)
	o := PullOptions{Reference: host + "/x", TLSVerify: true}
	if _, err := Pull(context.Background(), s, o); err == nil || !strings.Contains(hint(err), "--tls-verify=false") {
		t.Errorf("an unknown authority: %v, hint %q", err, hint(err))
	}
	o.TLSVerify = false
	_, err := Pull(context.Background(), s, o)
	must(t, err)
	folder := filepath.Join(config, "containers/certs.d", host)
	must(t, os.MkdirAll(folder, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "ca.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	o.TLSVerify = true
	_, err = Pull(context.Background(), s, o)
	must(t, err)
}

// Plain http is for loopback, and for those who ask for it.
func TestGuard(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"127.0.0.1:5000": true, "127.8.9.1": true, "[::1]:5000": true, "::1": true, "localhost": true, "localhost:80": true, "10.0.0.1:5000": false, "localhost.evil.io": false, "127.evil.io": false, "registry.io": false} {
		if isLoopback(host) != want {
			t.Errorf("%s: %v", host, !want)
		}
	}
	g := &guard{inner: http.DefaultTransport}
	r := httptest.NewRequest(http.MethodGet, "http://192.0.2.1/v2/", nil)
	if _, err := g.RoundTrip(r); !errors.Is(err, errPlain) {
		t.Errorf("plain http was let through: %v", err)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	auth := func(user string) string { return base64.StdEncoding.EncodeToString([]byte(user + ":p:w")) }
	file := filepath.Join(t.TempDir(), "config.json")
	must(t, os.WriteFile(file, fmt.Appendf(nil, `{"auths": {
		"https://index.docker.io/v1/": {"auth": %q}, "quay.io": {"auth": %q}, "quay.io/team": {"auth": %q}, "https://old.io/v2/": {"identitytoken": "it"}, "ghcr.io": {}}}`,
		auth("hub"), auth("quay"), auth("team")), 0o600))
	for text, want := range map[string]authn.AuthConfig{
		"alpine": {Username: "hub", Password: "p:w"}, "quay.io/x": {Username: "quay", Password: "p:w"}, "quay.io/team/x": {Username: "team", Password: "p:w"},
		"quay.io/teams/x": {Username: "quay", Password: "p:w"}, "old.io/x": {IdentityToken: "it"}, "ghcr.io/x": {}, "else.io/x": {},
	} {
		ref, err := ParseReference(text)
		must(t, err)
		found, err := credentials(context.Background(), ref, file)
		must(t, err)
		have, err := found.Authorization()
		must(t, err)
		if have.Username != want.Username || have.Password != want.Password || have.IdentityToken != want.IdentityToken {
			t.Errorf("%s: %+v", text, have)
		}
	}
}

// Credentials go to the helper that is configured, and come from there; what else
// the file holds stays.
func TestHelper(t *testing.T) {
	bin, state := t.TempDir(), t.TempDir()
	script := `#!/bin/sh
read -r input || true
case $1 in
store) printf %s "$input" > "$STATE/kept" ;;
erase) rm -f "$STATE/kept" ;;
get) if [ -e "$STATE/kept" ]; then echo '{"ServerURL":"s","Username":"tester","Secret":"secret"}'; else echo "credentials not found in native keychain"; exit 1; fi ;;
esac
`
	must(t, os.WriteFile(filepath.Join(bin, helperPrefix+"fake"), []byte(script), 0o755))
	t.Setenv("PATH", bin+":"+os.Getenv("PATH"))
	t.Setenv("STATE", state)
	f, file := newFake(t), filepath.Join(t.TempDir(), "config.json")
	server := strings.TrimSuffix(f.name(""), "/")
	f.fault = func(w http.ResponseWriter, r *http.Request, _ int) bool {
		if user, password, _ := r.BasicAuth(); user == "tester" && password == "secret" {
			return false
		}
		w.Header().Set("WWW-Authenticate", "Basic")
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
	content := fmt.Sprintf(`{"credHelpers":{%q:"fake"},"credsStore":"not-installed","psFormat":"table {{.ID}}","auths":{"other.io":{"auth":"eDp5"}}}`, server)
	must(t, os.WriteFile(file, []byte(content), 0o600))
	login := LoginOptions{Server: server, Username: "tester", Password: "secret", TLSVerify: true, AuthFile: file}
	must(t, Login(context.Background(), login))
	kept, err := os.ReadFile(filepath.Join(state, "kept"))
	must(t, err)
	if !strings.Contains(string(kept), `"Secret":"secret"`) {
		t.Errorf("the helper got %s", kept)
	}
	data, err := os.ReadFile(file)
	must(t, err)
	if string(data) != content {
		t.Errorf("the file became %s", data)
	}
	found, err := credentials(context.Background(), store.Ref{Registry: server, Repository: "x"}, file)
	must(t, err)
	if have, _ := found.Authorization(); have.Username != "tester" {
		t.Errorf("%+v", have)
	}
	had, err := Logout(context.Background(), LogoutOptions{Server: server, AuthFile: file})
	if !had || err != nil {
		t.Errorf("%v %v", had, err)
	}
	// A helper that is not installed has nothing, and is no reason to fail.
	if found, err = credentials(context.Background(), store.Ref{Registry: "other.io", Repository: "x"}, file); err != nil {
		t.Fatal(err)
	}
	if have, _ := found.Authorization(); have.Username != "x" {
		t.Errorf("%+v", have)
	}
}

// The file keeps what skiff does not know, and a symbolic link stays one.
func TestAuthFile(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	file, link := filepath.Join(folder, "real.json"), filepath.Join(folder, "config.json")
	must(t, os.WriteFile(file, []byte(`{"psFormat":"x","auths":{"https://index.docker.io/v1/":{"auth":"eDp5","email":"e"},"a.io":{"auth":"eDp5"}},"nested":{"a":[1]}}`), 0o644))
	must(t, os.Symlink(file, link))
	f := newFake(t)
	server := strings.TrimSuffix(f.name(""), "/")
	must(t, Login(context.Background(), LoginOptions{Server: server, Username: "u", Password: "p", TLSVerify: true, AuthFile: link}))
	had, err := Logout(context.Background(), LogoutOptions{AuthFile: link})
	if !had || err != nil {
		t.Errorf("logout of Docker Hub: %v %v", had, err)
	}
	st, err := os.Lstat(link)
	must(t, err)
	if st.Mode()&os.ModeSymlink == 0 {
		t.Error("the link was replaced")
	}
	data, err := os.ReadFile(file)
	must(t, err)
	var have map[string]any
	must(t, json.Unmarshal(data, &have))
	auths := have["auths"].(map[string]any)
	if len(auths) != 2 || auths[server] == nil || auths["a.io"] == nil || have["psFormat"] != "x" || have["nested"] == nil {
		t.Errorf("%s", data)
	}
}

func TestServerName(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{"": "docker.io", "https://index.docker.io/v1/": "docker.io", "docker.io": "docker.io", "quay.io": "quay.io", "https://reg:5000/v2/": "reg:5000", "a b": "", "../x": ""} {
		if have, err := ServerName(text); have != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", text, have, err)
		}
	}
}
