//go:build !skiff_embed

package program

// Without the build tag there is nothing to write: the main program does it all.
const (
	content = ""
	digest  = ""
)
