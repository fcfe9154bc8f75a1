package recipes

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// startBroker runs `pybroker` on a free port, in memory, until the test ends.
func startBroker(t testing.TB, properties ...string) string {
	t.Helper()
	program := os.Getenv("PYBROKER")
	if program == "" {
		program = "pybroker"
	}
	ready := filepath.Join(t.TempDir(), "ready")
	arguments := []string{"start", "--in-memory", "--listen", "127.0.0.1:0", "--ready-file", ready}
	for _, property := range properties {
		arguments = append(arguments, "--set", property)
	}
	command := exec.Command(program, arguments...)
	var log strings.Builder
	command.Stdout, command.Stderr = &log, &log
	// A test run that is killed must not leave it behind (Linux).
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	t.Cleanup(func() {
		command.Process.Signal(syscall.SIGTERM)
		<-ended
	})
	for {
		// The file appears whole, and only when connections are accepted.
		if address, err := os.ReadFile(ready); err == nil {
			return strings.TrimSpace(string(address))
		}
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("pybroker ended: %v\n%s", err, log.String())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func TestProduceAndConsume(t *testing.T) {
	address := startBroker(t)
	client, err := kgo.NewClient(kgo.SeedBrokers(address), kgo.AllowAutoTopicCreation(),
		kgo.ConsumeTopics("orders"), kgo.DefaultProduceTopic("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, kgo.StringRecord("order 1")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	fetches := client.PollFetches(ctx)
	if records := fetches.Records(); len(records) != 1 || string(records[0].Value) != "order 1" {
		t.Fatalf("found %v, %v", records, fetches.Errors())
	}
}
