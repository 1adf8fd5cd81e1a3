package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/millrace-io/millrace/broker/internal/commitlog"
	"github.com/millrace-io/millrace/broker/internal/coordinator"
	"github.com/millrace-io/millrace/broker/internal/inspect"
)

func dumpCommand() command {
	return command{
		name: "dump", args: "[-records] [-o text|json] PATH...",
		line: "show what is in the files of a data directory",
		text: `
Shows what files of a data directory hold, one thing a line, in the order of the file: the snapshot, journal files (*.journal), segments
(*.log) and their indexes (*.index). Of a directory it shows all of them. Nothing is changed, and nobody need stop: a file that is
written meanwhile is shown as far as it goes.

A file is shown as it is. Which of it counts is a matter of all files together: whatever a segment holds beyond what the snapshot says,
and a journal file from before it, is left from earlier. broker/FORMAT.md tells how they belong together.

  millrace dump -records DIR/topics/*-0/*.log      the records of all first partitions
  millrace dump -o json DIR/snapshot | jq 'select(.kind == "partition")'
`,
		flags: func(fs *flag.FlagSet) action {
			records := fs.Bool("records", false, "also show the records of batches: keys and values as text, or in base64")
			output := outputFlag(fs)
			return func(ctx context.Context, args []string, to streams) error {
				out := bufio.NewWriter(to.out)
				emit, err := output(out)
				if err != nil {
					return err
				}
				if len(args) == 0 {
					return usageError{"name files, or a data directory"}
				}
				err = dump(ctx, args, *records, emit)
				return errors.Join(err, out.Flush())
			}
		},
	}
}

// dump shows files, and all files of directories.
func dump(ctx context.Context, paths []string, records bool, emit func(inspect.Item) error) error {
	x := commitlog.Inspector{FS: vfs.Default, Emit: emit, Describe: coordinator.Describe, Records: records}
	for _, path := range paths {
		files, err := dataFiles(path)
		if err != nil {
			return err
		}
		for _, f := range files {
			if err := ctx.Err(); err != nil {
				return err
			}
			if len(paths) > 1 || len(files) > 1 {
				if err := emit(inspect.New("file", "path", f)); err != nil {
					return err
				}
			}
			if err := x.File(f); err != nil {
				return err
			}
		}
	}
	return nil
}

// dataFiles returns the files below a path that dump can show: the snapshot first, then by name. A file stands for itself.
func dataFiles(path string) ([]string, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{path}, nil
	}
	var files []string
	err = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		switch filepath.Ext(p) {
		case ".journal", ".log", ".index":
			files = append(files, p)
		default:
			if d.Name() == "snapshot" {
				files = slices.Insert(files, 0, p)
			}
		}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = &fs.PathError{Op: "dump", Path: path, Err: errors.New("there are no files of a data directory")}
	}
	return files, err
}
