// Package pages is memory that Go's collector does not count. It lets garbage pile up
// in proportion to what is in use, and would take buffers for that of which hardly a
// page is ever touched.
package pages

import "golang.org/x/sys/unix"

// Make makes a buffer for the rest of the process's life. What is not touched costs nothing.
func Make(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		return make([]byte, n)
	}
	return b
}
