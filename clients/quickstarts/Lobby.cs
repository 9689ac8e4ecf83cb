// Says Hello in the room lobby, and prints the text of each message: the last 20, then each one that comes.
using Chatkit.Messages.V1;
using Grpc.Core;
using Grpc.Net.Client;

var messages = new MessagesService.MessagesServiceClient(GrpcChannel.ForAddress(args[0]));
var headers = new Metadata { { "authorization", $"Bearer {args[1]}" } };
var text = new Part { ContentType = "text/plain", Content = "Hello" };
var id = Guid.NewGuid().ToString();
await messages.SendMessageAsync(new SendMessageRequest { RoomId = "lobby", RequestId = id, Parts = { text } }, headers);
var request = new SubscribeRoomRequest { RoomId = "lobby" };
var epoch = "";
while (true)
{
    try
    {
        using var stream = messages.SubscribeRoom(request, headers);
        await foreach (var answer in stream.ResponseStream.ReadAllAsync())
        {
            foreach (var told in answer.Events)
            {
                if (told.Opened is not null) epoch = told.Opened.Position.Epoch;
                if (told.MessageCreated is not null) Console.WriteLine(told.MessageCreated.Parts[0].Content);
                // Where the next stream goes on.
                if (told.Seq > 0) request.After = new Position { Epoch = epoch, Seq = told.Seq };
            }
        }
    }
    catch (RpcException ended) when (ended.StatusCode == StatusCode.Unavailable)
    {
        await Task.Delay(1_000);
    }
}
