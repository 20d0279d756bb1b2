package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"github.com/skiff-containers/skiff/internal/netlab"
	"github.com/skiff-containers/skiff/internal/netload"
	"github.com/skiff-containers/skiff/netns/helper/space"
	"github.com/vishvananda/netlink"
)

// The addresses of the pair; "pair" is argv[1] of this program as its agent.
const (
	pairWord   = "pair"
	pairClient = "10.99.0.1"
	pairServer = "10.99.0.2"
)

// launchPair starts this program again as root of a user namespace of its own.
func (s *stand) launchPair(dir string, mtu int) (*agent, error) {
	// What containers have by default on a kernel that takes it.
	if mtu == 0 {
		mtu = 65520
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return s.launchIn(&syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}, containerPort, os.Environ(), dir, self, pairWord, strconv.Itoa(mtu))
}

// pair is an agent in one namespace, with a server in another at the other end of a
// veth. Both end with its input.
func pair(args []string) error {
	if len(args) != 1 {
		return errors.New("pair takes an MTU")
	}
	mtu, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	far, err := space.New()
	if err != nil {
		return err
	}
	defer far.Close()
	veth := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "near", MTU: mtu, TxQLen: 1000}, PeerName: "far", PeerMTU: uint32(mtu), PeerNamespace: netlink.NsFd(far.File().Fd())}
	if err := netlink.LinkAdd(veth); err != nil {
		return fmt.Errorf("making a veth: %w", err)
	}
	for name, address := range map[string]string{"lo": "", "near": pairClient + "/24"} {
		if err := up(name, address); err != nil {
			return err
		}
	}
	var server *netload.Server
	err = far.Do(func() error {
		if err := up("far", pairServer+"/24"); err != nil {
			return err
		}
		server, err = netload.Listen(net.JoinHostPort(pairServer, strconv.Itoa(containerPort)))
		return err
	})
	if err != nil {
		return err
	}
	defer server.Close()
	return netload.Agent(context.Background(), os.Stdin, os.Stdout)
}

func up(name, address string) error {
	if address == "" {
		return netlab.Up(name)
	}
	return netlab.Up(name, address)
}
