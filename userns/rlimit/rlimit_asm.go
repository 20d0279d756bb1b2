//go:build amd64 || arm64

package rlimit

// getNofile is prlimit64(0, RLIMIT_NOFILE, NULL, limit).
//
//go:noescape
func getNofile(limit *Limit) (errno int64)
