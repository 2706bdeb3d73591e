// Reads FraiseQL's assets, GraphQL results, search hits and log as Arrow, in one file to copy from.
//
//	go run . read analytics/events
//	go run . query '{ orders(limit: 3) { id totalPrice } }'
//	go run . search entity_type:Order
//	go run . follow 3
//
// FRAISEQL_FLIGHT_URL is the service's address, FRAISEQL_FLIGHT_TOKEN the token, and
// FRAISEQL_FLIGHT_CA the file of a certificate authority that this machine does not trust.
package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/apache/arrow-go/v18/arrow"
	"github.com/apache/arrow-go/v18/arrow/flight"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

const parallel = 4 // endpoints that are read at once

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, explained(err))
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("give one of: read ASSET, query GRAPHQL, search TEXT, follow COUNT")
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
	case "follow":
		return follow(ctx, client, args[1])
	}
	return fmt.Errorf("there is no %s; give one of: read, query, search, follow", args[0])
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
		config, err := trusted(os.Getenv("FRAISEQL_FLIGHT_CA"))
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
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("FRAISEQL_FLIGHT_CA, %s, holds no certificate", path)
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
			part, err := each(ctx, client, endpoint.Ticket, func(arrow.RecordBatch) bool { return true })
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
	if rows < info.TotalRecords {
		return fmt.Errorf("%d of %d announced rows arrived: read it again", rows, info.TotalRecords)
	}
	return nil
}

// each hands the batches of a ticket to a function as they arrive, until it returns false.
// It returns the number of rows.
func each(
	ctx context.Context, client flight.Client, wanted *flight.Ticket, use func(arrow.RecordBatch) bool,
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
		if !use(batch) {
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
		part, err := each(ctx, client, endpoint.Ticket, func(arrow.RecordBatch) bool { return true })
		if err != nil {
			return err
		}
		rows += part
	}
	fmt.Printf("%d %s\n", rows, what)
	return nil
}

// follow prints new events until there were as many as wanted.
func follow(ctx context.Context, client flight.Client, wanted string) error {
	left, err := strconv.ParseInt(wanted, 10, 64)
	if err != nil {
		return fmt.Errorf("%s is no number of events", wanted)
	}
	text, _ := json.Marshal(ticket{"type": "Tail"})
	fmt.Println("following")
	_, err = each(ctx, client, &flight.Ticket{Ticket: text}, func(batch arrow.RecordBatch) bool {
		left -= batch.NumRows()
		fmt.Printf("%d events\n", batch.NumRows())
		return left > 0
	})
	return err
}

// explained is the service's sentence in an error, and what to do about it.
func explained(err error) string {
	found, ok := status.FromError(err)
	if !ok {
		return err.Error()
	}
	said, _, _ := strings.Cut(found.Message(), ". Detail: ")
	switch found.Code().String() {
	case "Unauthenticated":
		return said + ". Set FRAISEQL_FLIGHT_TOKEN."
	case "Unavailable":
		return said + ". If no service runs there, set FRAISEQL_FLIGHT_URL."
	}
	return said
}
