package run

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// The kinds of --secret.
const (
	secretMount = "mount"
	secretEnv   = "env"
)

// secretFolder holds a container's secrets in its own folder: a secret that changes, or
// goes, is the same for a container that was made before, as with podman.
const secretFolder = "secrets"

// secret is one of a container's, with what it says.
type secret struct {
	store.Secret
	data []byte
}

// secrets reads --secret NAME[,type=mount|env][,target=…][,mode=…][,uid=0][,gid=0].
func (p *plan) secrets(s *store.Store, asked []string) error {
	for _, text := range asked {
		one, err := readSecret(s, text)
		if err != nil {
			return err
		}
		p.secret = append(p.secret, one)
		p.record.Config.Secrets = append(p.record.Config.Secrets, one.Secret)
	}
	return nil
}

func readSecret(s *store.Store, text string) (one secret, err error) {
	fields, err := csv.NewReader(strings.NewReader(text)).Read()
	if err != nil || len(fields) == 0 {
		return one, fmt.Errorf("parsing --secret %q: no name", text)
	}
	one.Type = secretMount
	for i, field := range fields {
		if i == 0 {
			if key, value, ok := strings.Cut(field, "="); ok && key == "source" {
				field = value
			}
			one.Source = field
			continue
		}
		if err := one.option(field); err != nil {
			return one, fmt.Errorf("parsing --secret %q: %w", text, err)
		}
	}
	stored, err := s.Secret(one.Source)
	if err != nil {
		return one, err
	}
	one.Source, one.data = stored.Name, stored.Data
	return one, one.settle(text)
}

func (one *secret) option(field string) (err error) {
	key, value, _ := strings.Cut(field, "=")
	number := func(base, bits int) (n uint64) {
		if n, err = strconv.ParseUint(value, base, bits); err != nil {
			err = fmt.Errorf("invalid value for %s: %q", key, value)
		}
		return n
	}
	switch key {
	case "type":
		if one.Type = value; value != secretMount && value != secretEnv {
			return fmt.Errorf("type %q is neither mount nor env", value)
		}
	case "target":
		one.Target = value
	case "uid":
		one.UID = uint32(number(10, 31))
	case "gid":
		one.GID = uint32(number(10, 31))
	case "mode":
		one.Mode = uint32(number(8, 9))
	default:
		return fmt.Errorf("unexpected key %q", key)
	}
	return err
}

// settle fills what was left out, and refuses what does not go together.
func (one *secret) settle(text string) error {
	if one.Type == secretEnv {
		if one.UID|one.GID|one.Mode != 0 {
			return fmt.Errorf("parsing --secret %q: a variable has no owner and no mode", text)
		}
		if one.Target == "" {
			one.Target = one.Source
		}
		if strings.Contains(one.Target, "=") || strings.ContainsRune(string(one.data), 0) {
			return fmt.Errorf("parsing --secret %q: it cannot be a variable", text)
		}
		return nil
	}
	if one.UID|one.GID != 0 {
		return &userns.HostError{
			What: fmt.Sprintf("--secret %q: its owner is root of the container", text),
			Hint: "leave uid and gid out: with the mode 0444, which it has then, every user of the container can read it",
		}
	}
	if one.Mode == 0 {
		one.Mode = 0o444
	}
	if one.Target == "" {
		one.Target = one.Source
	}
	if !path.IsAbs(one.Target) {
		one.Target = path.Join("/run/secrets", path.Clean("/"+one.Target))
	}
	one.Target = path.Clean(one.Target)
	return nil
}

// writeSecrets writes the files, which lie in a container's own folder by number.
func (p *plan) writeSecrets(dir string, d store.Durability) error {
	for i, one := range p.secret {
		if one.Type != secretMount {
			continue
		}
		folder := filepath.Join(dir, secretFolder)
		if err := os.Mkdir(folder, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		if err := fresh(folder, strconv.Itoa(i), one.data, os.FileMode(one.Mode), d); err != nil {
			return err
		}
	}
	return nil
}

// secretMounts show the files.
func (p *plan) secretMounts() (all []specs.Mount) {
	for i, one := range p.secret {
		if one.Type == secretMount {
			all = append(all, specs.Mount{Destination: one.Target, Type: "bind", Source: filepath.Join(p.dir, secretFolder, strconv.Itoa(i)),
				Options: []string{"bind", "rprivate", "ro", "nosuid", "nodev", "noexec"}})
		}
	}
	return all
}

// secretEnv are the variables. They are the process's only: its container's record,
// which inspect prints, does not have them.
func (p *plan) secretEnv() (env []string) {
	for _, one := range p.secret {
		if one.Type == secretEnv {
			env = append(env, one.Target+"="+string(one.data))
		}
	}
	return env
}
