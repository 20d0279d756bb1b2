// Package oci is the OCI runtime: it makes the inside of a container from a
// runtime-spec config and starts its process there.
//
// The work is done by stages, processes that run this same program under another
// argv[0]: the init stage becomes the container's first process, the exec stage a
// further one. Each says at its top which namespaces and ids it holds, who its
// parent is and what comes next. The package assumes no shim and no parent that
// stays; it imports runtime-spec, x/sys and userns only.
package oci
