package scenario

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

// toolLimit bounds what one call of a client may take: much more than a neighbour is asked for
// that is not there, three seconds.
const toolLimit = 15 * time.Second

// runTool is what this program is inside a container.
//
//	serve              answers on 80/tcp, 80/udp and 7/tcp; prints who came
//	tcp ADDR [TEXT]    connects, sends a line, prints the answer
//	udp ADDR [TEXT]    the same by UDP
//	resolve NAME       prints the addresses
//	beyond             tries what NET_ADMIN allows here and in the networks' namespace
//	hold ADDR          connects, and sends and expects a line each 100 ms, for ever
func runTool(verb string, args []string) int {
	var err error
	switch verb {
	case "serve":
		err = serve()
	case "tcp", "udp":
		err = ask(verb, args)
	case "resolve":
		err = resolve(args[0])
	case "beyond":
		err = beyond()
	case "hold":
		err = holdConnection(args[0])
	default:
		err = fmt.Errorf("no such tool: %s", verb)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// serve answers each line by the client's address and the line.
func serve() error {
	for _, port := range []string{":80", ":7"} {
		l, err := net.Listen("tcp", port)
		if err != nil {
			return err
		}
		go serveTCP(l, os.Stdout)
	}
	u, err := net.ListenPacket("udp", ":80")
	if err != nil {
		return err
	}
	fmt.Println("ready")
	b := make([]byte, 64<<10)
	for {
		n, from, err := u.ReadFrom(b)
		if err != nil {
			return err
		}
		fmt.Println("udp", from)
		u.WriteTo(fmt.Appendf(nil, "%s %s", from, b[:n]), from)
	}
}

func serveTCP(l net.Listener, visitors io.Writer) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(visitors, "tcp", c.RemoteAddr())
			for lines := bufio.NewScanner(c); lines.Scan(); {
				fmt.Fprintf(c, "%s %s\n", c.RemoteAddr(), lines.Text())
			}
		}()
	}
}

func ask(network string, args []string) error {
	text := "hello"
	if len(args) > 1 {
		text = args[1]
	}
	answer, err := asked(network, args[0], text, net.Dialer{Timeout: toolLimit})
	if err != nil {
		return err
	}
	fmt.Println(answer)
	return nil
}

// asked sends a line and returns the answer.
func asked(network, addr, text string, d net.Dialer) (string, error) {
	c, err := d.Dial(network, addr)
	if err != nil {
		return "", err
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(toolLimit))
	if network == "tcp" {
		text += "\n"
	}
	if _, err := io.WriteString(c, text); err != nil {
		return "", err
	}
	if network == "udp" {
		b := make([]byte, 64<<10)
		n, err := c.Read(b)
		return string(b[:n]), err
	}
	answer, err := bufio.NewReader(c).ReadString('\n')
	return strings.TrimSpace(answer), err
}

func resolve(name string) error {
	addrs, err := net.LookupHost(name)
	if err != nil {
		return err
	}
	fmt.Println(strings.Join(addrs, "\n"))
	return nil
}

// holdConnection prints "held" for each answer, and ends with the connection.
func holdConnection(addr string) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	answers := bufio.NewReader(c)
	for i := 0; ; i++ {
		c.SetDeadline(time.Now().Add(toolLimit))
		if _, err := fmt.Fprintf(c, "%d\n", i); err != nil {
			return err
		}
		answer, err := answers.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasSuffix(strings.TrimSpace(answer), fmt.Sprintf(" %d", i)) {
			return fmt.Errorf("wrong answer to %d: %q", i, answer)
		}
		fmt.Println("held", i)
		time.Sleep(100 * time.Millisecond)
	}
}
