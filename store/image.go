package store

import "time"

// Ref is a normalised reference to an image: "docker.io", "library/alpine", "latest", "".
// Package registry parses what users write into it.
type Ref struct {
	Registry   string
	Repository string
	Tag        string // "" where only a digest was given
	Digest     string // "sha256:…", or ""
}

// Image is an image of the store, as one platform's manifest describes it.
type Image struct {
	ID       string // digest of the config, "sha256:…"
	Manifest string // digest of the platform's manifest
	Digest   string // what the registry's tag names: an index's digest, or Manifest
	Refs     []Ref  // every name that leads to it, sorted
	Platform string // "linux/amd64", "linux/arm64/v8"
	Created  time.Time
	Size     int64    // bytes of its unpacked layers
	Layers   []string // diff ids, lowest first
	Config   ImageConfig
}

// ImageConfig is the "config" object of an OCI image config: what the image
// wants of its containers (image-spec config.md). Also Docker's, field for field.
type ImageConfig struct {
	User         string              `json:",omitempty"`
	ExposedPorts map[string]struct{} `json:",omitempty"`
	Env          []string            `json:",omitempty"`
	Entrypoint   []string            `json:",omitempty"`
	Cmd          []string            `json:",omitempty"`
	Volumes      map[string]struct{} `json:",omitempty"`
	WorkingDir   string              `json:",omitempty"`
	Labels       map[string]string   `json:",omitempty"`
	StopSignal   string              `json:",omitempty"`
}
