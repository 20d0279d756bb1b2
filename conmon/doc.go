// Package conmon is the shim: the one process that skiff leaves behind per
// container, its parent. It owns the container's standard streams, terminal and
// log, serves attach, exec, signals and wait on a socket, records how the
// container ended, and cleans up. Client is the other end of that socket.
//
// The shim's program (conmon/shim) links this package, oci, store and userns and
// nothing else.
package conmon
