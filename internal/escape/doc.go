// Package escape tries to get out of skiff's containers, as published attacks on
// container tools did: each test carries one out, from inside of a container and with
// skiff as its users have it, and fails where the defence is gone. Where a flag takes
// the defence away, the same attack is seen to succeed with it. All of it is tests;
// SECURITY.md lists them.
package escape
