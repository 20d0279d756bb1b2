package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// dockerConfig is what skiff heeds of docker's config.json beside credentials,
// which package registry reads.
type dockerConfig struct {
	PsFormat       string `json:"psFormat"`
	StatsFormat    string `json:"statsFormat"`
	ImagesFormat   string `json:"imagesFormat"`
	NetworksFormat string `json:"networksFormat"`
	DetachKeys     string `json:"detachKeys"`
}

// dockerConfig reads $DOCKER_CONFIG/config.json, else ~/.docker/config.json, once
// and only when a command needs it. One that cannot be read is told and taken for empty.
func (p *program) dockerConfig() *dockerConfig {
	if p.config != nil {
		return p.config
	}
	p.config = &dockerConfig{}
	folder := os.Getenv("DOCKER_CONFIG")
	if folder == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return p.config
		}
		folder = filepath.Join(home, ".docker")
	}
	path := filepath.Join(folder, "config.json")
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return p.config
	}
	if err == nil {
		err = json.Unmarshal(text, p.config)
	}
	if err != nil {
		p.note(fmt.Sprintf("ignoring %q: %v", path, err))
		p.config = &dockerConfig{}
	}
	return p.config
}
