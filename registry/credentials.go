package registry

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/skiff-containers/skiff/store"
)

// hubKey is what docker files its own registry's credentials under.
const hubKey = "https://index.docker.io/v1/"

// authConfig is the part of docker's config.json, and of containers-auth.json(5),
// that is about credentials.
type authConfig struct {
	Auths       map[string]authEntry `json:"auths"`
	CredHelpers map[string]string    `json:"credHelpers"`
	CredsStore  string               `json:"credsStore"`
}

type authEntry struct {
	Auth          string `json:"auth,omitempty"` // base64 of user:password
	Username      string `json:"username,omitempty"`
	Password      string `json:"password,omitempty"`
	IdentityToken string `json:"identitytoken,omitempty"`
	RegistryToken string `json:"registrytoken,omitempty"`
}

// authFiles are the files that may hold credentials, the first that knows the
// registry wins: the one named by the user alone, else docker's, then podman's.
func authFiles(named string) []string {
	if named == "" {
		named = os.Getenv("REGISTRY_AUTH_FILE")
	}
	if named != "" {
		return []string{named}
	}
	var files []string
	if path, err := dockerConfig(); err == nil {
		files = append(files, path)
	}
	if runtime := os.Getenv("XDG_RUNTIME_DIR"); runtime != "" {
		files = append(files, filepath.Join(runtime, "containers", "auth.json"))
	}
	if config, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(config, "containers", "auth.json"))
	}
	return files
}

// dockerConfig is the path of docker's config.json.
func dockerConfig() (string, error) {
	if folder := os.Getenv("DOCKER_CONFIG"); folder != "" {
		return filepath.Join(folder, "config.json"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("finding docker's config.json: %w", err)
	}
	return filepath.Join(home, ".docker", "config.json"), nil
}

// credentials finds what to log in with for a repository.
func credentials(ctx context.Context, ref store.Ref, named string) (authn.Authenticator, error) {
	for _, path := range authFiles(named) {
		var config authConfig
		err := store.ReadJSON(path, &config)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) && named == "" {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading credentials: %w", err)
		}
		auth, err := config.lookup(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("reading credentials of %q: %w", ref.Registry, err)
		}
		if auth != nil {
			return authn.FromConfig(*auth), nil
		}
	}
	return authn.Anonymous, nil
}

// lookup returns nil where nothing is known of the registry. Keys may name a
// repository or its beginning; the longest counts.
func (c *authConfig) lookup(ctx context.Context, ref store.Ref) (*authn.AuthConfig, error) {
	if helper := c.helper(ref.Registry); helper != "" {
		auth, err := askHelper(ctx, helper, serverKey(ref.Registry))
		if auth != nil || err != nil {
			return auth, err
		}
	}
	entries := make(map[string]authEntry, len(c.Auths))
	for key, entry := range c.Auths {
		entries[normalKey(key)] = entry
	}
	for scope := ref.Registry + "/" + ref.Repository; scope != "."; scope = filepath.Dir(scope) {
		if entry, ok := entries[scope]; ok {
			return entry.config()
		}
	}
	return nil, nil
}

// helper names the program that keeps a registry's credentials, or "".
func (c *authConfig) helper(registry string) string {
	for key, helper := range c.CredHelpers {
		if normalKey(key) == registry {
			return helper
		}
	}
	return c.CredsStore
}

// normalKey makes a registry of what stands for one in the files: a URL, a host,
// or a host with a repository.
func normalKey(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	key = strings.TrimSuffix(key, "/")
	for _, version := range []string{"/v1", "/v2"} {
		key = strings.TrimSuffix(key, version)
	}
	host, rest, found := strings.Cut(key, "/")
	switch host {
	case hubHost, "registry-1.docker.io", "":
		host = store.DefaultRegistry
	}
	if found {
		return host + "/" + rest
	}
	return host
}

// serverKey is what a registry is called in helpers and in docker's file.
func serverKey(registry string) string {
	if registry == store.DefaultRegistry {
		return hubKey
	}
	return registry
}

func (e authEntry) config() (*authn.AuthConfig, error) {
	auth := &authn.AuthConfig{Username: e.Username, Password: e.Password, IdentityToken: e.IdentityToken, RegistryToken: e.RegistryToken}
	if e.Auth == "" {
		return auth, nil
	}
	data, err := base64.StdEncoding.DecodeString(e.Auth)
	if err != nil {
		return nil, errors.New("its auth is not base64")
	}
	user, password, found := strings.Cut(string(data), ":")
	if !found {
		return nil, errors.New("its auth is not user:password")
	}
	auth.Username, auth.Password = user, strings.TrimRight(password, "\x00")
	return auth, nil
}

// The protocol of docker-credential-helpers: one word as argument, the rest by stdin and stdout.
const (
	helperPrefix   = "docker-credential-"
	helperNotFound = "credentials not found in native keychain"
	tokenUser      = "<token>"
)

// askHelper gets credentials from a helper; nil where it has none. A helper that is
// not installed has none either: its name often outlives it in the file.
func askHelper(ctx context.Context, helper, server string) (*authn.AuthConfig, error) {
	out, err := runHelper(ctx, helper, "get", []byte(server))
	if errors.Is(err, exec.ErrNotFound) || errors.Is(err, errNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, fmt.Errorf("parsing the answer of %s%s: %w", helperPrefix, helper, err)
	}
	if answer.Username == tokenUser {
		return &authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return &authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}

// errNotFound is a helper's word for what it does not have.
var errNotFound = errors.New(helperNotFound)

func runHelper(ctx context.Context, helper, verb string, input []byte) ([]byte, error) {
	if helper == "" || strings.ContainsAny(helper, "/\\") {
		return nil, fmt.Errorf("running the credential helper %q: no name of a program", helper)
	}
	cmd := exec.CommandContext(ctx, helperPrefix+helper, verb)
	cmd.Stdin = bytes.NewReader(input)
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err := cmd.Run()
	if err == nil {
		return out.Bytes(), nil
	}
	if strings.TrimSpace(out.String()) == helperNotFound { // helpers complain on stdout
		return nil, errNotFound
	}
	if text := strings.TrimSpace(out.String() + complaint.String()); text != "" {
		err = fmt.Errorf("%w: %s", err, text)
	}
	return nil, fmt.Errorf("running %s%s: %w", helperPrefix, helper, err)
}
