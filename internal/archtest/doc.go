// Package archtest holds the shape of the code: which package may import which,
// who owns a heavy dependency, what the shim's program links, what a start costs,
// and how errors and documentation are written. Each rule tells its reason.
package archtest
