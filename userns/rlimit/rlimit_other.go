//go:build !amd64 && !arm64

package rlimit

func getNofile(*Limit) (errno int64) { return -38 } // ENOSYS
