// Package netns plans the networks of containers: none (loopback only) and host.
package netns
