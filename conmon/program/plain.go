//go:build !skiff_embed || !(amd64 || arm64)

package program

// Without the build tag there is nothing to write: the main program does it all.
const (
	content = ""
	digest  = ""
)
