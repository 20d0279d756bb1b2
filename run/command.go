package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// errNoCommand says that neither the image nor the user names a program.
var errNoCommand = errors.New("no command specified, and the image has none")

// joinCommand is Docker's rule for ENTRYPOINT and CMD: an entry point of the
// user's drops the image's CMD as well, an empty one clears it.
func joinCommand(entrypoint *string, command []string, image *store.ImageConfig) (entry, cmd []string, err error) {
	entry, cmd = image.Entrypoint, command
	switch {
	case entrypoint != nil && *entrypoint != "":
		entry = entrypointWords(*entrypoint)
	case entrypoint != nil:
		entry = nil
	case len(command) == 0:
		cmd = image.Cmd
	}
	if len(entry)+len(cmd) == 0 {
		return nil, nil, errNoCommand
	}
	return entry, cmd, nil
}

// entrypointWords is podman's rule: a JSON array is the program and its arguments,
// anything else the program.
func entrypointWords(text string) []string {
	var words []string
	if strings.HasPrefix(text, "[") && json.Unmarshal([]byte(text), &words) == nil {
		return words
	}
	return []string{text}
}

// joinWorkdir is the working directory: the user's, else the image's, else "/".
func joinWorkdir(asked, image string) (string, error) {
	switch {
	case asked != "" && !path.IsAbs(asked):
		return "", fmt.Errorf("the working directory %q is invalid, it needs to be an absolute path", asked)
	case asked != "":
		return path.Clean(asked), nil
	case image == "":
		return "/", nil
	}
	return path.Join("/", image), nil
}

// checkHostname refuses what the kernel would not take, or what would spoil /etc/hosts.
func checkHostname(name string) error {
	if len(name) > 64 {
		return fmt.Errorf("hostname %q is longer than 64 bytes", name)
	}
	for _, c := range []byte(name) {
		if c <= ' ' || c == 0x7f || c == '/' || c == '#' {
			return fmt.Errorf("hostname %q is invalid", name)
		}
	}
	if strings.HasPrefix(name, "-") || strings.HasPrefix(name, ".") {
		return fmt.Errorf("hostname %q is invalid", name)
	}
	return nil
}
