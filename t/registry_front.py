"""registry_front.py [--cert FILE --key FILE] [--client-ca FILE]
    [--user NAME --password WORD | --token WORD] PORT UPSTREAM_PORT

Stands before a schema registry on 127.0.0.1: TLS, and 401 for whoever does not log
in as was told.
"""
import argparse
import base64
import http.client
import http.server
import ssl

options = argparse.ArgumentParser()
for name in ("cert", "key", "client-ca", "user", "password", "token"):
    options.add_argument("--" + name)
options.add_argument("port", type=int)
options.add_argument("upstream", type=int)
given = options.parse_args()

wanted = None
if given.user:
    wanted = "Basic " + base64.b64encode(("%s:%s" % (given.user, given.password)).encode()).decode()
if given.token:
    wanted = "Bearer " + given.token


class Front(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, body, content_type):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if wanted and self.headers.get("Authorization") != wanted:
            self.answer(401, b'{"error_code":40101,"message":"who are you?"}', "application/json")
            return
        upstream = http.client.HTTPConnection("127.0.0.1", given.upstream, timeout=30)
        headers = {name: self.headers[name] for name in ("Content-Type", "Accept") if name in self.headers}
        upstream.request(self.command, self.path, body or None, headers)
        answer = upstream.getresponse()
        self.answer(answer.status, answer.read(), answer.getheader("Content-Type") or "text/plain")

    do_GET = do_POST = do_PUT = do_DELETE = pass_on

    def log_message(self, *words):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", given.port), Front)
if given.cert:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(given.cert, given.key)
    if given.client_ca:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(given.client_ca)
    server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
