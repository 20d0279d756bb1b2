// Package ociruntime is the OCI runtime that other programs call (runtime-spec,
// "Runtime and Lifecycle"): it creates containers from bundles, starts them and
// remembers them in a folder, where one command finds what another has made.
//
// No process of skiff stays with a container. Its first process waits, after create,
// at a socket in the container's folder for the start; whoever called create, or
// the host's init, becomes its parent. What is known of it is the identity of that
// process and the files of the folder; whether it runs is asked of the kernel.
package ociruntime
