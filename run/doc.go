// Package run is a container's life as the command line asks for it: options
// become a record and an OCI config, a shim is started, and what came of it is
// listed, inspected, waited for and removed. It prints nothing.
package run
