//! Verbs of the screen: what a command does to panes and overlays, as data.

/// Everything that only the screen does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // the command table documents each
pub enum Ui {
    Help(String),
    Palette,
    /// Opens the command line with this text.
    Prompt(String),
    Keys,
    Workspace(u8),
    NextPane,
    PrevPane,
    Focus(&'static str),
    ZoomIn,
    ZoomOut,
    NextTab,
    PrevTab,
    Search,
    SearchNext(bool),
    SearchClear,
    Move(i32),
    Page(i32),
    Top,
    Bottom,
    Left,
    Right,
    Enter,
    Cancel,
    Back,
    /// The next letter names a mark: set it, or go there.
    Mark(bool),
    Forward,
    Copy,
    CopyBlock,
    Edit(String),
    /// Shows a place in the Source pane; empty: back to the selected frame.
    List(String),
    Redraw,
    Quit,
    Suspend,
    /// Ctrl-C: pauses, else cancels.
    Interrupt,
    /// Breakpoint at the line under the cursor.
    BreakHere,
    EditBreak,
    /// Begins a log point at the line under the cursor.
    LogHere,
    /// Begins this command with the word under the cursor.
    ProbeWord(&'static str),
    /// What trace points recorded, shown or written.
    Calls(String),
    ToggleSelected,
    ClearSelected,
    RunToCursor,
    /// Print prompt with the word under the cursor.
    PrintWord,
    Hover,
    Definition,
    SetPrompt,
    OpenFile,
    CycleGroup,
    ToggleSystem,
    Set(String),
    Theme(String),
    /// Runs command lines of a file.
    Script(String),
    Write(String),
    /// The wait graph around a goroutine; none: the one under the cursor.
    Waits(Option<crate::base::GoroutineId>),
    /// Only this part of the wait graph, or all again.
    WaitPart(crate::model::WaitScope),
    /// Tree or lines.
    ToggleView,
    /// Shows or hides what is below the line.
    Fold,
    /// Mutes what is under the cursor.
    MuteSelected,
    /// Asks, then takes a snapshot; also into a file, if one is named.
    Snapshot(String),
    /// Writes what is known of what is wrong to a file.
    Evidence(String),
    /// The timeline closer, or further away.
    TimeZoom(bool),
    /// The newest part of the timeline.
    TimeNow,
    /// A lane for the goroutine under the cursor.
    FollowSelected,
    /// Who ended the wait under the cursor.
    BlockedBy,
    /// Another source of the timeline.
    NextSource,
    /// Fewer lanes, or all.
    BriefLanes,
    /// Lanes of threads, or none.
    ThreadLanes,
    /// The map of utilisation, or a bar.
    HeatMap,
    /// The timeline's next mark, or the one before.
    NextMark(bool),
    /// One level out of the profile's graph.
    ZoomOutProfile,
    /// Ends the profile's comparison, or asks for what to compare with.
    CompareProfile,
    /// Ends the profile's focus, or asks for one.
    FocusProfile,
    /// Callers or callees.
    TurnProfile,
    /// The profile's next kind of value.
    NextKind,
    /// Table or graph.
    ProfileTable,
    /// Shares or values are compared.
    NormalizeProfile,
    /// Who keeps the thing under the cursor alive.
    RefsSelected,
}
