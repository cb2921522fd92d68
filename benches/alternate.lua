-- wrk asks for the hosts of ASKED in turn, one request after the other (one connection, one thread).
local requests, turn = {}, 0

function init()
  for host in os.getenv("ASKED"):gmatch("%S+") do
    requests[#requests + 1] = wrk.format("GET", "/", { Host = host })
  end
end

function request()
  turn = turn % #requests + 1
  return requests[turn]
end
