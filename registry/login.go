package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// LoginOptions say where to log in and as whom.
type LoginOptions struct {
	Server    string // host[:port], or empty for Docker Hub
	Username  string
	Password  string
	TLSVerify bool   // false also allows plain http
	AuthFile  string // where to keep the credentials; empty is docker's config.json
}

// ServerName is the registry that a user means by what login and logout are given:
// a host, a URL, or nothing for Docker Hub.
func ServerName(text string) (string, error) {
	server := normalKey(strings.TrimSpace(text))
	server, _, _ = strings.Cut(server, "/")
	if !validRegistry(server) {
		return "", fmt.Errorf("parsing registry %q: no host[:port]", text)
	}
	return server, nil
}

// Login proves the credentials to the registry and keeps them where docker does:
// in a credential helper where one is configured, else in the file, readable by
// the user alone.
func Login(ctx context.Context, o LoginOptions) error {
	server, err := ServerName(o.Server)
	if err != nil {
		return err
	}
	if o.Username == "" || o.Password == "" {
		return fmt.Errorf("logging in to %q: user name and password must not be empty", server)
	}
	if err := verifyLogin(ctx, server, o); err != nil {
		return fmt.Errorf("logging in to %q: %w", server, err)
	}
	path, err := loginFile(o.AuthFile)
	if err != nil {
		return err
	}
	return editAuthFile(path, func(config map[string]json.RawMessage, known *authConfig) (bool, error) {
		if helper := known.helper(server); helper != "" {
			input, err := json.Marshal(map[string]string{"ServerURL": serverKey(server), "Username": o.Username, "Secret": o.Password})
			if err != nil {
				return false, err
			}
			_, err = runHelper(ctx, helper, "store", input)
			return false, err
		}
		auth := base64.StdEncoding.EncodeToString([]byte(o.Username + ":" + o.Password))
		return true, setEntry(config, server, &authEntry{Auth: auth})
	})
}

// verifyLogin asks the registry for /v2/, which answers 200 to those who may come in.
func verifyLogin(ctx context.Context, server string, o LoginOptions) error {
	auth := &authn.Basic{Username: o.Username, Password: o.Password}
	transport, err := handshake(ctx, server, o.TLSVerify, auth, nil)
	if err != nil {
		return explainLogin(err, server)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+apiHost(server)+"/v2/", nil)
	if err != nil {
		return err
	}
	answer, err := (&http.Client{Transport: transport}).Do(r)
	if err != nil {
		return explainLogin(err, server)
	}
	if err := checkStatus(answer, http.StatusOK); err != nil {
		return explainLogin(err, server)
	}
	io.Copy(io.Discard, io.LimitReader(answer.Body, maxManifest))
	return answer.Body.Close()
}

// explainLogin is explain for one who is just logging in.
func explainLogin(err error, server string) error {
	err = explain(err, server)
	if errors.Is(err, ErrUnauthorized) {
		return &userns.HostError{What: "the registry refused the user name or password", Err: ErrUnauthorized,
			Hint: "many registries want an access token in place of the password"}
	}
	return err
}

// LogoutOptions say where to log out.
type LogoutOptions struct {
	Server   string
	AuthFile string
}

// Logout forgets the credentials of a registry. It tells whether there were any.
func Logout(ctx context.Context, o LogoutOptions) (had bool, err error) {
	server, err := ServerName(o.Server)
	if err != nil {
		return false, err
	}
	path, err := loginFile(o.AuthFile)
	if err != nil {
		return false, err
	}
	err = editAuthFile(path, func(config map[string]json.RawMessage, known *authConfig) (bool, error) {
		if helper := known.helper(server); helper != "" {
			_, err := runHelper(ctx, helper, "erase", []byte(serverKey(server)))
			if err != nil && !errors.Is(err, errNotFound) {
				return false, err
			}
			had = err == nil
		}
		for key := range known.Auths {
			if normalKey(key) == server {
				had = true
				return true, setEntry(config, server, nil)
			}
		}
		return false, nil
	})
	return had, err
}

// loginFile is where credentials are kept.
func loginFile(named string) (string, error) {
	if named == "" {
		named = os.Getenv("REGISTRY_AUTH_FILE")
	}
	if named != "" {
		return named, nil
	}
	return dockerConfig()
}

// editAuthFile changes a file of credentials in one step, under a lock, and keeps
// whatever else it holds. A symbolic link stays one.
func editAuthFile(path string, edit func(config map[string]json.RawMessage, known *authConfig) (changed bool, err error)) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	folder := filepath.Dir(path)
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return fmt.Errorf("keeping credentials: %w", err)
	}
	lock, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("keeping credentials: %w", err)
	}
	defer lock.Close()
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("keeping credentials: locking %s: %w", folder, err)
	}
	config := map[string]json.RawMessage{}
	var known authConfig
	data, err := os.ReadFile(path)
	if err == nil && len(data) > 0 {
		if err = json.Unmarshal(data, &config); err == nil {
			err = json.Unmarshal(data, &known)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("reading credentials from %s: %w", path, err)
	}
	if config == nil { // "null"
		config = map[string]json.RawMessage{}
	}
	changed, err := edit(config, &known)
	if err != nil || !changed {
		return err
	}
	if data, err = json.MarshalIndent(config, "", "\t"); err != nil {
		return fmt.Errorf("keeping credentials: %w", err)
	}
	return store.WriteFile(path, data, store.Durable)
}

// setEntry replaces a registry's entry, whatever its key looks like; nil removes it.
func setEntry(config map[string]json.RawMessage, server string, entry *authEntry) error {
	auths := map[string]json.RawMessage{}
	if raw, ok := config["auths"]; ok {
		if err := json.Unmarshal(raw, &auths); err != nil {
			return fmt.Errorf("reading credentials: %w", err)
		}
	}
	if auths == nil { // "null"
		auths = map[string]json.RawMessage{}
	}
	for key := range auths {
		if normalKey(key) == server {
			delete(auths, key)
		}
	}
	if entry != nil {
		raw, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		auths[serverKey(server)] = raw
	}
	raw, err := json.Marshal(auths)
	config["auths"] = raw
	return err
}
