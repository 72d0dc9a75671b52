# fish completion for futurectl(1). All that it offers comes from "futurectl complete".

function __futurectl_complete
    set -l words (commandline -opc)
    set -a words (commandline -ct)
    for line in (command futurectl complete -- $words 2>/dev/null)
        switch $line
            case ':files'
                __fish_complete_path (string replace -r '^--[^=]*=' '' -- (commandline -ct))
            case ':command *'
                set -l first (math (string replace ':command ' '' -- $line) + 1)
                complete -C (string join ' ' -- (string escape -n -- $words[$first..-1]))
            case '*'
                echo $line
        end
    end
end

complete -c futurectl -f -a '(__futurectl_complete)'
