// Package cdi reads Container Device Interface files (tags.cncf.io/container-device-interface,
// SPEC.md): what a vendor wants done to a container's config so that it can use a device.
//
// The reference library is not used: its YAML parser and its watching of folders would cost
// every start of skiff a third of a millisecond.
package cdi
