// Says Hello in the room lobby, and prints the text of each message: the last 20, then each one that comes.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"time"

	messagesv1 "chatkit.example/gen/chatkit/messages/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

func main() {
	// From gRPC 1.63 on, better NewClient, with insecure.NewCredentials().
	connection, err := grpc.Dial(os.Args[1], grpc.WithInsecure())
	if err != nil {
		log.Fatal(err)
	}
	ctx := metadata.AppendToOutgoingContext(context.Background(), "authorization", "Bearer "+os.Args[2])
	messages := messagesv1.NewMessagesServiceClient(connection)
	text := &messagesv1.Part{ContentType: "text/plain", Value: &messagesv1.Part_Content{Content: "Hello"}}
	_, err = messages.SendMessage(ctx, &messagesv1.SendMessageRequest{
		RoomId: "lobby", RequestId: fmt.Sprint(time.Now().UnixNano()), Parts: []*messagesv1.Part{text},
	})
	if err != nil {
		log.Fatal(err)
	}
	request := &messagesv1.SubscribeRoomRequest{RoomId: "lobby"}
	for {
		if err := follow(ctx, messages, request); status.Code(err) != codes.Unavailable {
			log.Fatal(err)
		}
		time.Sleep(time.Second)
	}
}

// follow prints messages until the stream ends, and leaves in the request where the next stream goes on.
func follow(ctx context.Context, messages messagesv1.MessagesServiceClient, request *messagesv1.SubscribeRoomRequest) error {
	stream, err := messages.SubscribeRoom(ctx, request)
	if err != nil {
		return err
	}
	for epoch := ""; ; {
		answer, err := stream.Recv()
		if err != nil {
			return err
		}
		for _, event := range answer.GetEvents() {
			if opened := event.GetOpened(); opened != nil {
				epoch = opened.GetPosition().GetEpoch()
			}
			if message := event.GetMessageCreated(); message != nil {
				fmt.Println(message.GetParts()[0].GetContent())
			}
			if event.GetSeq() > 0 {
				after := &messagesv1.Position{Epoch: epoch, Seq: event.GetSeq()}
				request.Start = &messagesv1.SubscribeRoomRequest_After{After: after}
			}
		}
	}
}
