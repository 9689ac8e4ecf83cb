// Says Hello in the room lobby, and prints the text of each message: the last 20, then each one that comes.
import Foundation
import GRPCCore
import GRPCNIOTransportHTTP2

@main
struct Lobby {
  static func main() async throws {
    let (host, port, token) = (CommandLine.arguments[1], Int(CommandLine.arguments[2]), CommandLine.arguments[3])
    try await withGRPCClient(
      transport: .http2NIOPosix(target: .dns(host: host, port: port), transportSecurity: .plaintext)
    ) { client in
      let messages = Chatkit_Messages_V1_MessagesService.Client(wrapping: client)
      let headers: Metadata = ["authorization": "Bearer \(token)"]
      let hello = Chatkit_Messages_V1_SendMessageRequest.with {
        $0.roomID = "lobby"
        $0.requestID = UUID().uuidString
        $0.parts = [.with { $0.contentType = "text/plain"; $0.content = "Hello" }]
      }
      _ = try await messages.sendMessage(hello, metadata: headers)
      var request = Chatkit_Messages_V1_SubscribeRoomRequest.with { $0.roomID = "lobby" }
      while true {
        let asked = request
        request = try await messages.subscribeRoom(asked, metadata: headers) { response in
          var (next, epoch) = (asked, "")
          do {
            for try await answer in response.messages {
              for event in answer.events {
                if case .opened(let opened) = event.event { epoch = opened.position.epoch }
                if case .messageCreated(let message) = event.event { print(message.parts[0].content) }
                // Where the next stream goes on.
                if event.seq > 0 { next.after = .with { $0.epoch = epoch; $0.seq = event.seq } }
              }
            }
          } catch let ended as RPCError where ended.code == .unavailable {}
          return next
        }
        try await Task.sleep(for: .seconds(1))
      }
    }
  }
}
