// Microsoft's Go SDK against our server: `cargo xtask test` (only go). Its worker repeats no completion tokens, and its client
// says with an action what is done with an instance that is there.
package suite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/microsoft/durabletask-go/api"
	"github.com/microsoft/durabletask-go/backend"
	"github.com/microsoft/durabletask-go/client"
	"github.com/microsoft/durabletask-go/task"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// A task hub of a test's own, with a worker that knows what the test registers.
type hub struct {
	*client.TaskHubGrpcClient
	t   *testing.T
	ctx context.Context
}

func newHub(t *testing.T, register func(*task.TaskRegistry)) hub {
	t.Helper()
	return newHubOf(t, strings.TrimPrefix(os.Getenv("PLACET_GRPC"), "http://"), register)
}

func newHubOf(t *testing.T, address string, register func(*task.TaskRegistry)) hub {
	t.Helper()
	t.Parallel()
	name := "go-" + strings.ToLower(t.Name())
	unary := func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
		return invoke(metadata.AppendToOutgoingContext(ctx, "taskhub", name), method, request, reply, connection, options...)
	}
	stream := func(ctx context.Context, description *grpc.StreamDesc, connection *grpc.ClientConn, method string, open grpc.Streamer, options ...grpc.CallOption) (grpc.ClientStream, error) {
		return open(metadata.AppendToOutgoingContext(ctx, "taskhub", name), description, connection, method, options...)
	}
	connection, err := grpc.Dial(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithUnaryInterceptor(unary), grpc.WithStreamInterceptor(stream))
	must(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	t.Cleanup(func() {
		cancel()
		connection.Close()
	})
	grpcClient := client.NewTaskHubGrpcClient(connection, backend.DefaultLogger())
	registry := task.NewTaskRegistry()
	register(registry)
	must(t, grpcClient.StartWorkItemListener(ctx, registry))
	return hub{grpcClient, t, ctx}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same[T comparable](t *testing.T, wanted, found T) {
	t.Helper()
	if wanted != found {
		t.Fatalf("wanted %v, found %v", wanted, found)
	}
}

func (h hub) start(name string, options ...api.NewOrchestrationOptions) api.InstanceID {
	h.t.Helper()
	id, err := h.ScheduleNewOrchestration(h.ctx, name, options...)
	must(h.t, err)
	return id
}

func (h hub) end(id api.InstanceID, status string) string {
	h.t.Helper()
	state, err := h.WaitForOrchestrationCompletion(h.ctx, id, api.WithFetchPayloads(true))
	must(h.t, err)
	same(h.t, "ORCHESTRATION_STATUS_"+status, state.RuntimeStatus.String())
	return state.SerializedOutput
}

func TestActivitiesAreCalledOneAfterTheOther(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("chain", func(ctx *task.OrchestrationContext) (any, error) {
			value := 0
			for i := 0; i < 10; i++ {
				if err := ctx.CallActivity("plus", task.WithActivityInput(value)).Await(&value); err != nil {
					return nil, err
				}
			}
			return value, nil
		})
		r.AddActivityN("plus", func(ctx task.ActivityContext) (any, error) {
			var value int
			err := ctx.GetInput(&value)
			return value + 1, err
		})
	})
	same(t, "10", h.end(h.start("chain"), "COMPLETED"))
}

func TestActivitiesAreCalledAtOnce(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("fan", func(ctx *task.OrchestrationContext) (any, error) {
			var calls []task.Task
			for i := 0; i < 50; i++ {
				calls = append(calls, ctx.CallActivity("same", task.WithActivityInput(i)))
			}
			sum := 0
			for _, call := range calls {
				var value int
				if err := call.Await(&value); err != nil {
					return nil, err
				}
				sum += value
			}
			return sum, nil
		})
		r.AddActivityN("same", func(ctx task.ActivityContext) (any, error) {
			var value int
			err := ctx.GetInput(&value)
			return value, err
		})
	})
	same(t, "1225", h.end(h.start("fan"), "COMPLETED"))
}

func TestAFailedActivityIsTriedAgain(t *testing.T) {
	runs := 0
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("retries", func(ctx *task.OrchestrationContext) (any, error) {
			policy := &task.RetryPolicy{MaxAttempts: 3, InitialRetryInterval: 10 * time.Millisecond}
			err := ctx.CallActivity("fails", task.WithActivityRetryPolicy(policy)).Await(nil)
			return nil, err
		})
		r.AddActivityN("fails", func(ctx task.ActivityContext) (any, error) {
			runs++
			return nil, errors.New("not now")
		})
	})
	h.end(h.start("retries"), "FAILED")
	same(t, 3, runs)
}

func TestAChildsResultReachesItsParentAndItsIdIsMadeByTheServer(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("parent", func(ctx *task.OrchestrationContext) (any, error) {
			var greeting string
			err := ctx.CallSubOrchestrator("child", task.WithSubOrchestratorInput("world")).Await(&greeting)
			return greeting, err
		})
		r.AddOrchestratorN("child", func(ctx *task.OrchestrationContext) (any, error) {
			var name string
			err := ctx.GetInput(&name)
			return "Hello, " + name, err
		})
	})
	same(t, `"Hello, world"`, h.end(h.start("parent"), "COMPLETED"))
}

func TestEventsComeInTheirOrderAndLateOnesAreGivenUp(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("events", func(ctx *task.OrchestrationContext) (any, error) {
			came := ""
			for i := 0; i < 3; i++ {
				var value int
				if err := ctx.WaitForSingleEvent("number", time.Minute).Await(&value); err != nil {
					return nil, err
				}
				came += fmt.Sprint(value)
			}
			err := ctx.WaitForSingleEvent("number", time.Second).Await(nil)
			return came, map[bool]error{true: nil, false: errors.New("it came")}[errors.Is(err, task.ErrTaskCanceled)]
		})
	})
	id := h.start("events")
	for i := 0; i < 3; i++ {
		must(t, h.RaiseEvent(h.ctx, id, "NUMBER", api.WithEventPayload(i)))
	}
	same(t, `"012"`, h.end(id, "COMPLETED"))
}

func TestAGenerationFollowsAnother(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("counts", func(ctx *task.OrchestrationContext) (any, error) {
			var count int
			if err := ctx.GetInput(&count); err != nil {
				return nil, err
			}
			if count == 10 {
				return count, nil
			}
			if err := ctx.CreateTimer(0).Await(nil); err != nil {
				return nil, err
			}
			ctx.ContinueAsNew(count + 1)
			return nil, nil
		})
	})
	same(t, "10", h.end(h.start("counts", api.WithInput(0)), "COMPLETED"))
}

func TestWhatIsSuspendedWaitsAndWhatIsTerminatedEnds(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("word", func(ctx *task.OrchestrationContext) (any, error) {
			var word string
			err := ctx.WaitForSingleEvent("word", -1).Await(&word)
			return word, err
		})
	})
	id := h.start("word")
	_, err := h.WaitForOrchestrationStart(h.ctx, id)
	must(t, err)
	must(t, h.SuspendOrchestration(h.ctx, id, "for a while"))
	must(t, h.RaiseEvent(h.ctx, id, "word", api.WithEventPayload("later")))
	soon, cancel := context.WithTimeout(h.ctx, time.Second)
	defer cancel()
	if _, err := h.WaitForOrchestrationCompletion(soon, id); err == nil {
		t.Fatal("it is suspended")
	}
	must(t, h.ResumeOrchestration(h.ctx, id, ""))
	same(t, `"later"`, h.end(id, "COMPLETED"))
	another := h.start("word")
	must(t, h.TerminateOrchestration(h.ctx, another, api.WithOutput("enough")))
	same(t, `"enough"`, h.end(another, "TERMINATED"))
	must(t, h.PurgeOrchestrationState(h.ctx, another))
	if _, err := h.FetchOrchestrationMetadata(h.ctx, another); !errors.Is(err, api.ErrInstanceNotFound) {
		t.Fatal(err)
	}
}

func TestAnIdIsRefusedWhileItsInstanceLives(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("waits", func(ctx *task.OrchestrationContext) (any, error) {
			var input, word string
			if err := ctx.GetInput(&input); err != nil {
				return nil, err
			}
			err := ctx.WaitForSingleEvent("word", -1).Await(&word)
			return input + word, err
		})
	})
	live := []api.NewOrchestrationOptions{api.WithInstanceID("one")}
	id := h.start("waits", append(live, api.WithInput("first"))...)
	_, err := h.WaitForOrchestrationStart(h.ctx, id)
	must(t, err)
	if _, err := h.ScheduleNewOrchestration(h.ctx, "waits", append(live, api.WithInput("second"))...); err == nil ||
		!strings.Contains(err.Error(), "orchestration instance already exists") {
		t.Fatal(err)
	}
	must(t, h.RaiseEvent(h.ctx, id, "word", api.WithEventPayload("!")))
	same(t, `"first!"`, h.end(id, "COMPLETED"))
}

// What is done with an instance that is there, as this SDK says it: nothing, or it is terminated and replaced, or that is an error.
func TestAnIdThatIsTakenIsLeftReplacedOrRefused(t *testing.T) {
	h := newHub(t, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("first", func(ctx *task.OrchestrationContext) (any, error) {
			return "first", ctx.WaitForSingleEvent("go", time.Minute).Await(nil)
		})
		r.AddOrchestratorN("second", func(ctx *task.OrchestrationContext) (any, error) { return "second", nil })
	})
	again := func(id api.InstanceID, action api.CreateOrchestrationAction) error {
		running := []api.OrchestrationStatus{api.RUNTIME_STATUS_RUNNING, api.RUNTIME_STATUS_PENDING}
		policy := &api.OrchestrationIdReusePolicy{Action: action, OperationStatus: running}
		_, err := h.ScheduleNewOrchestration(h.ctx, "second", api.WithInstanceID(id), api.WithOrchestrationIdReusePolicy(policy))
		return err
	}
	for _, id := range []api.InstanceID{"left", "replaced", "refused"} {
		h.start("first", api.WithInstanceID(id))
		_, err := h.WaitForOrchestrationStart(h.ctx, id)
		must(t, err)
	}
	must(t, again("left", api.REUSE_ID_ACTION_IGNORE))
	must(t, again("replaced", api.REUSE_ID_ACTION_TERMINATE))
	if again("refused", api.REUSE_ID_ACTION_ERROR) == nil {
		t.Fatal("it was not refused")
	}
	must(t, h.RaiseEvent(h.ctx, "left", "go"))
	must(t, h.RaiseEvent(h.ctx, "refused", "go"))
	same(t, `"first"`, h.end("left", "COMPLETED"))
	same(t, `"first"`, h.end("refused", "COMPLETED"))
	same(t, `"second"`, h.end("replaced", "COMPLETED"))
}

// The server is killed under a worker and a client, which find its successor by themselves.
func TestWhatRanWhenTheServerWasKilledGoesOnWithItsSuccessor(t *testing.T) {
	server := startServer(t)
	running, restarted := make(chan struct{}, 9), make(chan struct{})
	h := newHubOf(t, server.address, func(r *task.TaskRegistry) {
		r.AddOrchestratorN("asks", func(ctx *task.OrchestrationContext) (any, error) {
			var value, more int
			if err := ctx.CallActivity("slow", task.WithActivityInput(20)).Await(&value); err != nil {
				return nil, err
			}
			if err := ctx.WaitForSingleEvent("more", time.Minute).Await(&more); err != nil {
				return nil, err
			}
			err := ctx.CallActivity("slow", task.WithActivityInput(value+more)).Await(&value)
			return value, err
		})
		r.AddActivityN("slow", func(ctx task.ActivityContext) (any, error) {
			var value int
			err := ctx.GetInput(&value)
			running <- struct{}{}
			<-restarted
			return value + 1, err
		})
	})
	id := h.start("asks")
	<-running
	server.kill()
	server.start()
	close(restarted)
	for h.RaiseEvent(h.ctx, id, "more", api.WithEventPayload(20)) != nil {
		must(t, h.ctx.Err())
		time.Sleep(20 * time.Millisecond)
	}
	same(t, "42", h.end(id, "COMPLETED"))
}

// A server of a test's own, which it kills and starts again on the same folder and port.
type ownServer struct {
	t       *testing.T
	folder  string
	address string
	process *exec.Cmd
}

func startServer(t *testing.T) *ownServer {
	t.Helper()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	server := &ownServer{t: t, folder: t.TempDir(), address: free.Addr().String()}
	must(t, free.Close())
	server.start()
	t.Cleanup(server.kill)
	return server
}

func (s *ownServer) start() {
	s.t.Helper()
	ready := filepath.Join(s.folder, "ready.json")
	os.Remove(ready)
	s.process = exec.Command(os.Getenv("PLACET_BIN"), "--data-dir", filepath.Join(s.folder, "data"),
		"--grpc-addr", s.address, "--http-addr", "127.0.0.1:0", "--ready-file", ready)
	must(s.t, s.process.Start())
	for end := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(ready); err == nil {
			return
		}
		if time.Now().After(end) {
			s.t.Fatal("the server is not ready")
		}
	}
}

func (s *ownServer) kill() {
	s.process.Process.Kill()
	s.process.Wait()
}
