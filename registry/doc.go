// Package registry brings images from registries into the store: references,
// credentials, downloads that are verified while they stream, and unpacking.
// It alone imports go-containerregistry.
package registry
