package store

// Stack is a container's root file system: an image's layers, a writable
// directory above them, and where they are seen as one.
type Stack struct {
	Driver string   // "overlay", "fuse-overlayfs" or "copy", as [Store.Driver] told
	Store  string   // the store's root
	Layers []string // diff ids, lowest first, without repetition
	Dir    string   // the container's folder with upper/, work/ and merged/
}
