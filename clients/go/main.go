// Reads FraiseQL's assets, GraphQL results, search hits and log as Arrow, and writes events, in one
// file to copy from.
//
//	go run . read analytics/events
//	go run . query '{ orders(limit: 3) { id totalPrice } }'
//	go run . search entity_type:Order
//	go run . write 3
//	go run . follow 3
//	go run . follow 3 1042:0
//
// FRAISEQL_FLIGHT_URL is the service's address, FRAISEQL_FLIGHT_TOKEN the token, and
// FRAISEQL_FLIGHT_CA_FILE the file of a certificate authority that this machine does not trust.
package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/array"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"github.com/apache/arrow-go/v18/arrow/ipc"
	"github.com/apache/arrow-go/v18/arrow/memory"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const (
	parallel   = 4  // endpoints that are read at once
	reconnects = 60 // seconds that a service may be away while the log is followed
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, explained(err))
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[0] != "follow" {
		return fmt.Errorf(
			"give one of: read ASSET, query GRAPHQL, search TEXT, write COUNT, follow COUNT [AFTER]")
	}
	client, ctx, err := connect(context.Background())
	if err != nil {
		return err
	}
	defer client.Close()
	switch args[0] {
	case "read":
		return read(ctx, client, args[1])
	case "query":
		return count(ctx, client, ticket{"type": "GraphQLQuery", "query": args[1]}, "rows")
	case "search":
		return count(ctx, client, ticket{"type": "Search", "query": args[1]}, "hits")
	case "write":
		return write(ctx, client, args[1])
	case "follow":
		return follow(ctx, client, args[1], args[2:])
	}
	return fmt.Errorf("there is no %s; give one of: read, query, search, write, follow", args[0])
}

// connect returns a client, and a context that sends the token with every call.
func connect(ctx context.Context) (flight.Client, context.Context, error) {
	url := os.Getenv("FRAISEQL_FLIGHT_URL")
	if url == "" {
		url = "grpc://127.0.0.1:50051"
	}
	scheme, address, found := strings.Cut(url, "://")
	if !found {
		return nil, ctx, fmt.Errorf("%s is no address: write grpc://host:port or grpc+tls://host:port", url)
	}
	encryption := insecure.NewCredentials()
	if scheme == "grpc+tls" {
		config, err := trusted(os.Getenv("FRAISEQL_FLIGHT_CA_FILE"))
		if err != nil {
			return nil, ctx, err
		}
		encryption = credentials.NewTLS(config)
	}
	if token := os.Getenv("FRAISEQL_FLIGHT_TOKEN"); token != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	client, err := flight.NewClientWithMiddleware(
		address, nil, nil, grpc.WithTransportCredentials(encryption))
	return client, ctx, err
}

func trusted(path string) (*tls.Config, error) {
	if path == "" {
		return &tls.Config{}, nil
	}
	pem, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("FRAISEQL_FLIGHT_CA_FILE: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("FRAISEQL_FLIGHT_CA_FILE, %s, holds no certificate", path)
	}
	return &tls.Config{RootCAs: pool}, nil
}

// A ticket says what is wanted; docs/flight.md lists its fields.
type ticket map[string]any

func (t ticket) descriptor() *flight.FlightDescriptor {
	text, _ := json.Marshal(t)
	return &flight.FlightDescriptor{Type: flight.DescriptorCMD, Cmd: text}
}

// read reads all endpoints of an asset in parallel, and compares with the announced total.
func read(ctx context.Context, client flight.Client, asset string) error {
	started := time.Now()
	info, err := client.GetFlightInfo(ctx, ticket{"type": "Asset", "asset": asset}.descriptor())
	if err != nil {
		return err
	}
	var (
		group sync.WaitGroup
		lock  sync.Mutex
		rows  int64
		first error
		slots = make(chan struct{}, parallel)
	)
	for _, endpoint := range info.Endpoint {
		group.Add(1)
		slots <- struct{}{}
		go func() {
			defer group.Done()
			part, err := each(ctx, client, endpoint.Ticket, everything)
			lock.Lock()
			rows += part
			if first == nil {
				first = err
			}
			lock.Unlock()
			<-slots
		}()
	}
	group.Wait()
	if first != nil {
		return first
	}
	announced := "unknown"
	if info.TotalRecords >= 0 {
		announced = strconv.FormatInt(info.TotalRecords, 10)
	}
	fmt.Printf("%s: %d rows of %s announced, %d endpoints, %.2f s\n",
		asset, rows, announced, len(info.Endpoint), time.Since(started).Seconds())
	return complete(rows, info.TotalRecords)
}

func everything(arrow.RecordBatch, []byte) bool { return true }

// each hands the batches of a ticket to a function as they arrive, with what the service tells
// beside them, until the function returns false. It returns the number of rows.
func each(
	ctx context.Context, client flight.Client, wanted *flight.Ticket,
	use func(batch arrow.RecordBatch, about []byte) bool,
) (int64, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := client.DoGet(ctx, wanted)
	if err != nil {
		return 0, err
	}
	reader, err := flight.NewRecordReader(stream)
	if err != nil {
		return 0, err
	}
	defer reader.Release()
	var rows int64
	for reader.Next() {
		batch := reader.RecordBatch()
		rows += batch.NumRows()
		if !use(batch, reader.LatestAppMetadata()) {
			return rows, nil
		}
	}
	return rows, reader.Err()
}

// count prints how many rows a ticket has.
func count(ctx context.Context, client flight.Client, wanted ticket, what string) error {
	info, err := client.GetFlightInfo(ctx, wanted.descriptor())
	if err != nil {
		return err
	}
	var rows int64
	for _, endpoint := range info.Endpoint {
		part, err := each(ctx, client, endpoint.Ticket, everything)
		if err != nil {
			return err
		}
		rows += part
	}
	fmt.Printf("%d %s\n", rows, what)
	return complete(rows, info.TotalRecords)
}

// A position is that of the event of the log that is wanted next.
type position struct {
	Sequence uint64 `json:"start_sequence,omitempty"`
	Row      uint32 `json:"start_row,omitempty"`
}

// follow prints new events until there were as many as wanted: from now on, or those that follow
// the given event. If the connection breaks, it connects again and goes on with the next event.
func follow(ctx context.Context, client flight.Client, wanted string, after []string) error {
	left, err := strconv.ParseInt(wanted, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no number of events", wanted)
	}
	next, err := beginning(ctx, client, after)
	if err != nil {
		return err
	}
	fmt.Println("following")
	for failures := 0; left > 0; failures++ {
		text, _ := json.Marshal(struct {
			Type string `json:"type"`
			position
		}{"Tail", next})
		_, err = each(ctx, client, &flight.Ticket{Ticket: text}, func(batch arrow.RecordBatch, about []byte) bool {
			next, failures = behind(batch, about), 0
			if left -= batch.NumRows(); batch.NumRows() > 0 {
				fmt.Printf("%d events up to %d:%d\n", batch.NumRows(), next.Sequence, next.Row-1)
			}
			return left > 0
		})
		if left <= 0 {
			return nil
		}
		// The service ends its streams when it stops.
		if err != nil && (status.Code(err) != codes.Unavailable || failures == reconnects) {
			return err
		}
		time.Sleep(time.Second)
	}
	return nil
}

// behind is where the log goes on behind a batch: as the service tells it beside the batch, or
// behind the last event, where a large batch was divided.
func behind(batch arrow.RecordBatch, about []byte) position {
	told := struct{ Next position }{}
	last := int(batch.NumRows()) - 1
	if json.Unmarshal(about, &told) != nil && last >= 0 {
		column := func(name string) arrow.Array {
			return batch.Column(batch.Schema().FieldIndices(name)[0])
		}
		told.Next.Sequence = column("stream_seq").(*array.Uint64).Value(last)
		told.Next.Row = column("stream_row").(*array.Uint32).Value(last) + 1
	}
	return told.Next
}

// beginning is where to follow the log from: behind the given event, or behind its end.
func beginning(ctx context.Context, client flight.Client, after []string) (position, error) {
	var last position
	if len(after) > 0 {
		if _, err := fmt.Sscanf(after[0], "%d:%d", &last.Sequence, &last.Row); err != nil {
			return last, fmt.Errorf("%s is no position such as 1042:0", after[0])
		}
		if last.Sequence == 0 || last.Row == math.MaxUint32 {
			return position{Sequence: last.Sequence + 1}, nil
		}
		return position{last.Sequence, last.Row + 1}, nil
	}
	log := ticket{"type": "Asset", "asset": "stream/events"}
	info, err := client.GetFlightInfo(ctx, log.descriptor())
	if err != nil {
		return last, err
	}
	var about struct {
		Last uint64 `json:"last_sequence"`
	}
	// Without a number, the log is empty or the token may not know it: then from now on.
	if json.Unmarshal(info.AppMetadata, &about) == nil && about.Last > 0 {
		last.Sequence = about.Last + 1
	}
	return last, nil
}

// write publishes so many events. The log stores no batch twice that is sent again, so after an
// error the same batches can be sent again.
func write(ctx context.Context, client flight.Client, wanted string) error {
	count, err := strconv.ParseInt(wanted, 10, 32)
	if err != nil {
		return fmt.Errorf("%s is no number of events", wanted)
	}
	batch := notes(int(count))
	defer batch.Release()
	stream, err := client.DoPut(ctx)
	if err != nil {
		return err
	}
	writer := flight.NewRecordWriter(stream, ipc.WithSchema(batch.Schema()))
	writer.SetFlightDescriptor(
		&flight.FlightDescriptor{Type: flight.DescriptorPATH, Path: []string{"events"}})
	// If the service refuses them, sending ends with io.EOF, and receiving has the reason.
	if err := errors.Join(writer.Write(batch), writer.Close(), stream.CloseSend()); err != nil &&
		!errors.Is(err, io.EOF) {
		return err
	}
	var receipt struct {
		Rows int64
		Last uint64 `json:"last_sequence"`
	}
	for {
		told, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		// The last receipt is the sum of all.
		if err := json.Unmarshal(told.AppMetadata, &receipt); err != nil {
			return err
		}
	}
	fmt.Printf("%d events written, up to sequence %d\n", receipt.Rows, receipt.Last)
	return complete(receipt.Rows, count)
}

// notes makes events to write, with the columns that every event needs.
func notes(count int) arrow.RecordBatch {
	text := arrow.BinaryTypes.String
	schema := arrow.NewSchema([]arrow.Field{
		{Name: "event_id", Type: text},
		{Name: "event_type", Type: text},
		{Name: "entity_type", Type: text},
		{Name: "entity_id", Type: text},
		{Name: "timestamp", Type: &arrow.TimestampType{Unit: arrow.Microsecond, TimeZone: "UTC"}},
		{Name: "data", Type: text},
	}, nil)
	builder := array.NewRecordBuilder(memory.DefaultAllocator, schema)
	defer builder.Release()
	for number := range count {
		row := []string{rand.Text(), "INSERT", "Note", rand.Text(), "", fmt.Sprintf(`{"number": %d}`, number)}
		for column, value := range row {
			switch field := builder.Field(column).(type) {
			case *array.StringBuilder:
				field.Append(value)
			case *array.TimestampBuilder:
				field.Append(arrow.Timestamp(time.Now().UnixMicro()))
			}
		}
	}
	return builder.NewRecordBatch()
}

// complete refuses a short result. More rows than announced may come: events arrive meanwhile.
func complete(rows, announced int64) error {
	if rows < announced {
		return fmt.Errorf("%d of %d announced rows arrived: read it again", rows, announced)
	}
	return nil
}

// explained is the service's sentence in an error, and what to do about it.
func explained(err error) string {
	found, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	said, _, _ := strings.Cut(found.Message(), ". Detail: ")
	switch found.Code() {
	case codes.Unauthenticated:
		return said + ". Set FRAISEQL_FLIGHT_TOKEN."
	case codes.Unavailable:
		if strings.Contains(said, "x509") || strings.Contains(said, "certificate") {
			return said + ". Set FRAISEQL_FLIGHT_CA_FILE to the file of its certificate authority."
		}
		return said + ". If no service runs there, set FRAISEQL_FLIGHT_URL."
	}
	return said
}
