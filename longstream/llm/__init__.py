"""The only door to text generation: one interface, and an engine behind it chosen by URL.

`vllm:PATH-OR-HUB-ID` runs vLLM in this process, `hf:PATH` transformers' generate for what vLLM cannot serve,
`openai:http://HOST:PORT/v1?model=NAME` any OpenAI-compatible endpoint.
"""
