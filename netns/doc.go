// Package netns plans the networks of containers: which there are, what is asked of
// them, and which addresses a container has in them from one start to its end. It
// makes nothing in the kernel: that is the network helper's, in netns/helper.
package netns
