package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// side is what a case is measured on.
type side struct {
	id, name string
	streams  bool // Kafka Streams' application, not ours
	embedded bool // the broker is in the application's process
}

func sides() []side {
	return []side{
		{id: "embedded", name: "Millrace, embedded broker", embedded: true},
		{id: "kafka", name: "Millrace on Kafka"},
		{id: "streams", name: "Kafka Streams on Kafka", streams: true},
	}
}

// kafka is Apache Kafka, as .ci/kafka starts it.
type kafka struct {
	script string
	dir    string // of the cluster that was started; "" if it is somebody else's
	place  place
	pid    int // of the broker, 0 if it cannot be looked at
}

// startKafka starts a broker with the heap of Kafka's own start script. Event times of the inputs lie in the past: the broker must not look for
// what is to be deleted.
func startKafka(ctx context.Context, root, dir string) (*kafka, error) {
	k := &kafka{script: filepath.Join(root, ".ci", "kafka", "kafka"), dir: dir}
	out, err := k.run(ctx, "up", dir, "--heap", "1g", "--set", "log.retention.check.interval.ms=86400000")
	if err != nil {
		return nil, err
	}
	_, addr, ok := strings.Cut(out, "BOOTSTRAP=")
	if !ok {
		return k, fmt.Errorf("%s up named no address", k.script)
	}
	k.place.brokers = strings.Split(strings.TrimSpace(addr), ",")
	pid, err := os.ReadFile(filepath.Join(dir, "node-1", "pid"))
	if err != nil {
		return k, err
	}
	n, err := parseCount(strings.TrimSpace(string(pid)))
	k.pid = int(n)
	return k, err
}

func (k *kafka) run(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, k.script, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it stops what it has begun to start
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", k.script, args[0], err)
	}
	return string(out), nil
}

func (k *kafka) stop(ctx context.Context) error {
	if k.dir == "" {
		return nil
	}
	_, err := k.run(ctx, "down", k.dir, "--now")
	return err
}

// java is Kafka Streams' program, compiled.
type java struct{ classpath string }

// compileJava compiles java/ into dir, with the jars that .ci/kafka has.
func compileJava(ctx context.Context, root, dir string) (*java, error) {
	k := &kafka{script: filepath.Join(root, ".ci", "kafka", "kafka")}
	jars, err := k.run(ctx, "classpath")
	if err != nil {
		return nil, err
	}
	jars = strings.TrimSpace(jars)
	sources, err := filepath.Glob(filepath.Join(root, "examples", "versus", "java", "*.java"))
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, tool("javac"), append([]string{"-d", dir, "-cp", jars}, sources...)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("javac: %w\n%s", err, out)
	}
	return &java{classpath: dir + string(os.PathListSeparator) + jars}, nil
}

func (j *java) args(flags []string) []string {
	return append(flags[:len(flags):len(flags)], "-cp", j.classpath, "Peer")
}

// tool is the path of one of Java's commands.
func tool(name string) string {
	if home := os.Getenv("JAVA_HOME"); home != "" {
		return filepath.Join(home, "bin", name)
	}
	return name
}

// moduleRoot finds the directory of go.mod, upwards from where the process runs.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", errors.New("run this below the module's directory: it needs .ci/kafka and examples/versus/java")
		}
		dir = up
	}
}
