package devnet

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// An engine is an execution client that a beacon node from bellatrix to capella
// believes: it builds empty payloads with made-up hashes and finds everything
// valid.
//
// Its history has two proof-of-work blocks. The second reaches the terminal
// total difficulty, so that a chain born before the merge goes through it.
//
// Source: execution-apis, paris.md and shanghai.md.
type engine struct {
	mu       sync.Mutex
	blocks   map[string]payload // by hash
	building map[string]payload // by payload id
	head     string
	unknown  []string // methods that were called and are not served
}

// terminalDifficulty is the difficulty that the chain's parameters must name.
const terminalDifficulty = 2

type payload struct {
	ParentHash    string          `json:"parentHash"`
	FeeRecipient  string          `json:"feeRecipient"`
	StateRoot     string          `json:"stateRoot"`
	ReceiptsRoot  string          `json:"receiptsRoot"`
	LogsBloom     string          `json:"logsBloom"`
	PrevRandao    string          `json:"prevRandao"`
	BlockNumber   string          `json:"blockNumber"`
	GasLimit      string          `json:"gasLimit"`
	GasUsed       string          `json:"gasUsed"`
	Timestamp     string          `json:"timestamp"`
	ExtraData     string          `json:"extraData"`
	BaseFeePerGas string          `json:"baseFeePerGas"`
	BlockHash     string          `json:"blockHash"`
	Transactions  []string        `json:"transactions"`
	Withdrawals   json.RawMessage `json:"withdrawals,omitempty"` // from capella on
}

func zeros(bytes int) string { return "0x" + strings.Repeat("00", bytes) }

func newPayload(parentHash string, number uint64) payload {
	return payload{
		ParentHash: parentHash, FeeRecipient: zeros(20), StateRoot: zeros(32), ReceiptsRoot: zeros(32),
		LogsBloom: zeros(256), PrevRandao: zeros(32), BlockNumber: hexNumber(number), GasLimit: hexNumber(30e6),
		GasUsed: "0x0", ExtraData: "0x", BaseFeePerGas: "0x7", Transactions: []string{},
	}
}

func hexNumber(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }

func (p payload) number() uint64 {
	n, err := strconv.ParseUint(strings.TrimPrefix(p.BlockNumber, "0x"), 16, 64)
	if err != nil {
		panic("engine: internal error: block number " + p.BlockNumber)
	}
	return n
}

// seal gives p a hash that depends on all of it.
func (p payload) seal() payload {
	text, err := json.Marshal(p)
	if err != nil {
		panic("engine: internal error: " + err.Error())
	}
	sum := sha256.Sum256(text)
	p.BlockHash = "0x" + hex.EncodeToString(sum[:])
	return p
}

// startEngine serves an engine until the end of the test and returns its URL.
func startEngine(t *testing.T) string {
	e := &engine{blocks: map[string]payload{}, building: map[string]payload{}}
	hourAgo := uint64(time.Now().Add(-time.Hour).Unix())
	parent := zeros(32)
	for n := range uint64(terminalDifficulty) {
		p := newPayload(parent, n)
		p.Timestamp = hexNumber(hourAgo + n)
		p = p.seal()
		e.blocks[p.BlockHash] = p
		e.head, parent = p.BlockHash, p.BlockHash
	}
	server := httptest.NewServer(e)
	t.Cleanup(func() {
		server.Close()
		if len(e.unknown) > 0 {
			t.Errorf("the beacon node called what the engine does not serve: %v", e.unknown)
		}
	})
	return server.URL
}

type rpcRequest struct {
	ID     json.RawMessage   `json:"id"`
	Method string            `json:"method"`
	Params []json.RawMessage `json:"params"`
}

// ServeHTTP answers a JSON-RPC request or a batch of them.
func (e *engine) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var raw json.RawMessage
	if err := json.NewDecoder(r.Body).Decode(&raw); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	var batch []rpcRequest
	if json.Unmarshal(raw, &batch) == nil {
		answers := make([]any, len(batch))
		for i, q := range batch {
			answers[i] = e.answer(q)
		}
		json.NewEncoder(w).Encode(answers) // the node may have gone
		return
	}
	var one rpcRequest
	if err := json.Unmarshal(raw, &one); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	json.NewEncoder(w).Encode(e.answer(one)) // the node may have gone
}

func (e *engine) answer(q rpcRequest) any {
	e.mu.Lock()
	defer e.mu.Unlock()
	result, err := e.call(q)
	if err != nil {
		return map[string]any{"jsonrpc": "2.0", "id": q.ID, "error": map[string]any{"code": -32000, "message": err.Error()}}
	}
	return map[string]any{"jsonrpc": "2.0", "id": q.ID, "result": result}
}

func (e *engine) call(q rpcRequest) (any, error) {
	switch q.Method {
	case "engine_newPayloadV1", "engine_newPayloadV2":
		return e.newPayload(q)
	case "engine_forkchoiceUpdatedV1", "engine_forkchoiceUpdatedV2":
		return e.forkchoiceUpdated(q)
	case "engine_getPayloadV1":
		return e.getPayload(q)
	case "engine_getPayloadV2":
		p, err := e.getPayload(q)
		return map[string]any{"executionPayload": p, "blockValue": "0x0"}, err
	case "engine_exchangeTransitionConfigurationV1":
		return q.Params[0], nil
	case "eth_chainId":
		return "0x1", nil
	case "eth_syncing":
		return false, nil
	case "eth_blockNumber":
		return e.blocks[e.head].BlockNumber, nil
	case "eth_getBlockByHash":
		var hash string
		if err := q.param(0, &hash); err != nil {
			return nil, err
		}
		return ethBlock(e.blocks[hash]), nil
	case "eth_getBlockByNumber":
		return e.blockByNumber(q)
	}
	e.unknown = append(e.unknown, q.Method)
	return nil, fmt.Errorf("the method %s is not served", q.Method)
}

func (q rpcRequest) param(i int, out any) error {
	if len(q.Params) <= i {
		return fmt.Errorf("%s without parameter %d", q.Method, i)
	}
	return json.Unmarshal(q.Params[i], out)
}

type payloadStatus struct {
	Status    string  `json:"status"`
	ValidHash *string `json:"latestValidHash"`
	Error     *string `json:"validationError"`
}

func (e *engine) status(hash string) payloadStatus {
	if _, ok := e.blocks[hash]; !ok {
		return payloadStatus{Status: "SYNCING"}
	}
	return payloadStatus{Status: "VALID", ValidHash: &hash}
}

func (e *engine) newPayload(q rpcRequest) (any, error) {
	var p payload
	if err := q.param(0, &p); err != nil {
		return nil, err
	}
	if _, ok := e.blocks[p.ParentHash]; ok {
		e.blocks[p.BlockHash] = p
	}
	return e.status(p.BlockHash), nil
}

func (e *engine) forkchoiceUpdated(q rpcRequest) (any, error) {
	var state struct{ HeadBlockHash string }
	if err := q.param(0, &state); err != nil {
		return nil, err
	}
	answer := struct {
		Status payloadStatus `json:"payloadStatus"`
		ID     *string       `json:"payloadId"`
	}{Status: e.status(state.HeadBlockHash)}
	if answer.Status.ValidHash == nil {
		return answer, nil
	}
	e.head = state.HeadBlockHash
	var attributes *struct {
		Timestamp, PrevRandao, SuggestedFeeRecipient string
		Withdrawals                                  json.RawMessage
	}
	if len(q.Params) > 1 {
		if err := q.param(1, &attributes); err != nil {
			return nil, err
		}
	}
	if attributes != nil {
		p := newPayload(e.head, e.blocks[e.head].number()+1)
		p.Timestamp, p.PrevRandao = attributes.Timestamp, attributes.PrevRandao
		p.FeeRecipient, p.Withdrawals = attributes.SuggestedFeeRecipient, attributes.Withdrawals
		id := fmt.Sprintf("0x%016x", len(e.building)+1)
		e.building[id] = p.seal()
		answer.ID = &id
	}
	return answer, nil
}

func (e *engine) getPayload(q rpcRequest) (payload, error) {
	var id string
	if err := q.param(0, &id); err != nil {
		return payload{}, err
	}
	p, ok := e.building[id]
	if !ok {
		return payload{}, fmt.Errorf("unknown payload %s", id)
	}
	return p, nil
}

func (e *engine) blockByNumber(q rpcRequest) (any, error) {
	var which string
	if err := q.param(0, &which); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(which, "0x") { // latest, safe, finalized
		return ethBlock(e.blocks[e.head]), nil
	}
	for p := e.blocks[e.head]; p.BlockHash != ""; p = e.blocks[p.ParentHash] {
		if p.BlockNumber == which {
			return ethBlock(p), nil
		}
	}
	return nil, nil
}

// ethBlock is p as the eth_ methods show it, as far as a beacon node looks;
// nil of no payload.
func ethBlock(p payload) any {
	if p.BlockHash == "" {
		return nil
	}
	return map[string]any{
		"number": p.BlockNumber, "hash": p.BlockHash, "parentHash": p.ParentHash, "timestamp": p.Timestamp,
		"difficulty": "0x0", "totalDifficulty": hexNumber(min(p.number()+1, terminalDifficulty)),
	}
}
