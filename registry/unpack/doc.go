// Package unpack applies a layer, a tar archive of the image-spec (layer.md), to an
// empty directory, as overlayfs wants to find it: whiteouts become 0/0 character
// devices and opaque directories carry user.overlay.opaque.
//
// The archive is hostile. The work is done by a stage that is root of the user's
// user namespace and has the directory as its root; beyond that every path is
// resolved by openat2(2) with RESOLVE_IN_ROOT, so that not even a mistake in one of
// the two lets an entry out.
package unpack
