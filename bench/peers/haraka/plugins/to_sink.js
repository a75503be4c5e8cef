// Whoever connects to this loopback listener may send, and whatever the domain, the sink is its mail server.
exports.hook_connect = function (next, connection) {
    connection.relaying = true;
    next();
};

exports.hook_get_mx = function (next, hmail, domain) {
    next(OK, { priority: 0, exchange: '127.0.0.1', port: @PORT_SINK@ });
};
