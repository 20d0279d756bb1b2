//go:build skiff_embed

package program

import _ "embed"

// content is the small program and digest the beginning of its SHA-256 in
// hexadecimal; both are made by command embed. Strings are embedded as read-only
// data: they cost neither time nor memory until they are written.
var (
	//go:embed shim_amd64.bin
	content string
	//go:embed shim_amd64.hash
	digest string
)
